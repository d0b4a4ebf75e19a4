"""Layouts of annotation files in the small: what each becomes, and what a broken one says."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from talaria.data.annotations import load_annotations
from talaria.errors import DataError
from talaria.records import Annotation, Dataset

KTH = """\
Training:   person11, 12
Validation: person19

person11_boxing_d1\t\tframes\t1-95, 96-185
person19_running_d2\tframes\t26-50
person22_walking_d1\t\tframes\t1-25
person22_walking_d3\t\t*missing*
"""


def load(folder: Path, content: Any, name: str = "file") -> Dataset:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return load_annotations(path, None).dataset


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        load_annotations(path, None)
    assert all(problem.startswith(f"{path}: ") for problem in caught.value.problems)
    return caught.value.problems


def test_a_database_without_the_key_keeps_its_ids(tmp_path: Path) -> None:
    entry = {"duration": 9, "subset": "val", "annotations": [{"segment": [1, 2], "label": "x"}]}
    (video,) = load(tmp_path, {"v_a": entry}).videos
    assert (video.video_id, video.subset, video.annotations) == (
        "v_a",
        "validation",
        (Annotation(1, 2, "x"),),
    )


def test_a_repeated_id_is_refused_in_every_json_layout(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text('{"a": {"subset": "val", "annotations": []}, "a": {"subset": "val", "annotations": []}}')
    assert "video 'a': is there more than once" in problems(path)[0]
    path.write_text('{"video_test_1": {"actions": []}, "video_test_1": {"actions": []}}')
    assert "video 'video_test_1': is there more than once" in problems(path)[0]


def test_fineaction_names_its_files(tmp_path: Path) -> None:
    (tmp_path / "clip 7.mp4").touch()
    entry = {"filename": "videos/clip 7.mp4", "subset": "training", "annotations": []}
    (tmp_path / "file").write_text(json.dumps({"database": {"v_00000007": entry}}))
    loaded = load_annotations(tmp_path / "file", tmp_path)
    assert loaded.dataset.videos[0].path == str(tmp_path / "clip 7.mp4")


def bmn(folder: Path) -> Path:
    entry = {"duration_second": 9.5, "duration_frame": 200, "feature_frame": 192, "annotations": []}
    path = folder / "anet_anno_action.json"
    path.write_text(json.dumps({"v_a": entry, "v_b": entry}))
    return path


def test_bmn_takes_subsets_from_the_list_beside_it(tmp_path: Path) -> None:
    path, info = bmn(tmp_path), tmp_path / "video_info_new.csv"
    loaded = load_annotations(path, None)
    assert [(v.subset, v.duration_s) for v in loaded.dataset.videos] == [("unspecified", 9.5)] * 2
    assert loaded.counts == {"no_subset": 2}
    info.write_text(
        "video,numFrame,seconds,fps,rfps,subset,featureFrame\nv_b,1,9.5,30,30,validation,1\nv_a,1,9.5,30,30,train,1\n"
    )
    loaded = load_annotations(path, None)
    assert [v.subset for v in loaded.dataset.videos] == ["training", "validation"]
    assert loaded.notes == ()
    info.write_text("video,subset\n")
    with pytest.raises(DataError, match=r"video_info_new\.csv: does not begin with video,numFrame"):
        load_annotations(path, None)


def test_bmns_list_of_videos_stands_alone(tmp_path: Path) -> None:
    text = "video,numFrame,seconds,fps,rfps,subset,featureFrame\nv_a,418,14.07,30.0,29.7,training,400\n"
    (video,) = load(tmp_path, text).videos
    assert (video.video_id, video.duration_s, video.subset, video.annotations) == (
        "v_a",
        14.07,
        "training",
        (),
    )
    (tmp_path / "file").write_text(text + "v_a,418,14.07,30.0,29.7,training,400\n")
    assert "video 'v_a': is there more than once" in problems(tmp_path / "file")[0]
    (tmp_path / "file").write_text(text + "v_b,418\n")
    assert "line 3: found 2 cells; expected 7" in problems(tmp_path / "file")[0]


def test_multithumos_numbers_get_their_names(tmp_path: Path) -> None:
    tree = {"video_test_1": {"subset": "testing", "duration": 9, "actions": [[1, 0, 1], [65, 2, 3.5]]}}
    (video,) = load(tmp_path, tree).videos
    assert video.annotations == (Annotation(0, 1, "BaseballPitch"), Annotation(2, 3.5, "NoHuman"))
    for wrong in ([0, 1, 2], [66, 1, 2], ["1", 1, 2], [1, 2], "x"):
        tree["video_test_1"]["actions"] = [[1, 0, 1], wrong]
        (tmp_path / "file").write_text(json.dumps(tree))
        assert "video 'video_test_1': actions[1]: found" in problems(tmp_path / "file")[0]


def test_class_numbers_of_other_videos_are_their_labels(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(
        json.dumps({"46GP8": {"subset": "training", "duration": 30, "actions": [[0, 1, 2], [156, 3, 4]]}})
    )
    loaded = load_annotations(tmp_path / "file", None)
    assert loaded.dataset.classes == ("0", "156")
    assert loaded.counts == {"unnamed_class": 1}


@pytest.mark.parametrize("packed", [False, True])
def test_thumos_class_files_from_a_folder_or_a_zip(tmp_path: Path, packed: bool) -> None:
    files = {
        "Diving_test.txt": "video_test_2  1.0 2.5\nvideo_test_1 3 4\n",
        "Ambiguous_test.txt": "video_test_3 0.5 0.75\n\n",
        "Diving_val.txt": "video_validation_1 1 2\n",
        "detclasslist.txt": "26 Diving\n",
        "readme.txt": "words",
    }
    kit = tmp_path / "kit"
    kit.mkdir()
    if packed:
        kit = tmp_path / "kit.zip"
        with zipfile.ZipFile(kit, "w") as archive:
            for name, text in files.items():
                archive.writestr(f"annotation/{name}", text)
    else:
        for name, text in files.items():
            (kit / name).write_text(text)
    dataset = load_annotations(kit, None).dataset
    assert dataset.classes == ("Diving",)
    assert [(v.video_id, v.subset, len(v.annotations), v.ambiguous) for v in dataset.videos] == [
        ("video_test_1", "testing", 1, ()),
        ("video_test_2", "testing", 1, ()),
        ("video_test_3", "testing", 0, ((0.5, 0.75),)),
        ("video_validation_1", "validation", 1, ()),
    ]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has no <class>_test.txt"),
        ({"Diving_test.txt": "\n"}, "are empty"),
        ({"Diving_test.txt": "video_test_1 1\n"}, "Diving_test.txt, line 1: found 'video_test_1 1'"),
        ({"Diving_test.txt": "video_test_1 1 x\n"}, "expected video, start and end in seconds"),
        ({"Diving_test.txt": "video_test_1 3 2\n"}, "annotations[0].segment: found [3.0, 2.0]"),
        (
            {"Diving_test.txt": "video_test_1 1 2", "detclasslist.txt": "26 Diving\n33 GolfSwing"},
            "class 'GolfSwing'",
        ),
        ({"Diving_test.txt": "video_test_1 1 2", "detclasslist.txt": "33 GolfSwing"}, "the file of 'Diving'"),
        ({"A_test.txt": "v 1 2", "A_val.txt": "v 1 2"}, "in the files of both subsets"),
    ],
)
def test_a_broken_folder_of_class_files_is_named(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert any(said in problem for problem in problems(tmp_path))


def test_a_damaged_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "kit.zip"
    path.write_bytes(b"PK\x03\x04 and no more")
    assert "cannot be read" in problems(path)[0]


def test_ambiguous_labels_of_thumos_json_are_no_class(tmp_path: Path) -> None:
    listed = [{"segment": [1, 2], "label": "Ambiguous"}, {"segment": [3, 4], "label": "Diving"}]
    entry = {"subset": "Test", "annotations": listed}
    thumos, other = load(tmp_path, {"database": {"video_test_1": entry, "x": entry}}).videos
    assert (thumos.ambiguous, [a.label for a in thumos.annotations]) == (((1, 2),), ["Diving"])
    assert (other.ambiguous, [a.label for a in other.annotations]) == ((), ["Ambiguous", "Diving"])


def test_kth_frames_become_seconds(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(KTH)
    loaded = load_annotations(tmp_path / "file", None)
    assert [(v.video_id, v.subset) for v in loaded.dataset.videos] == [
        ("person11_boxing_d1", "training"),
        ("person19_running_d2", "validation"),
        ("person22_walking_d1", "testing"),
    ]
    assert loaded.dataset.videos[0].annotations == (
        Annotation(0.0, 3.8, "boxing"),
        Annotation(3.8, 7.4, "boxing"),
    )
    assert loaded.counts == {"no_video": 1}


@pytest.mark.parametrize(
    "line",
    [
        "person22_walking_d4 frames 9-3",
        "person26_walking_d4 frames 1-3",
        "words",
        f"person22_walking_d4 frames 1-{10**400}",
    ],
)
def test_a_broken_line_of_kth_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "file").write_text(KTH + line)
    assert "line 8: " in problems(tmp_path / "file")[0]


def test_annotations_without_segments_label_whole_videos(tmp_path: Path) -> None:
    listed = [{"label": "run"}, {"label": "jump"}, {"label": "run"}]
    database = {
        "a": {"subset": "training", "duration": 5, "annotations": listed},
        "b": {"subset": "testing", "annotations": []},
        "c": {"subset": "validation", "labels": ["swim"]},
    }
    (tmp_path / "file").write_text(json.dumps({"database": database}))
    loaded = load_annotations(tmp_path / "file", None)
    assert [v.labels for v in loaded.dataset.videos] == [("run", "jump"), (), ("swim",)]
    assert not any(v.annotations for v in loaded.dataset.videos)
    assert loaded.dataset.classes == ("jump", "run", "swim")
    assert loaded.counts == {"duplicate": 1, "labels_only": 2}


def test_one_annotation_without_a_segment_among_others_is_an_error(tmp_path: Path) -> None:
    listed = [{"label": "run"}, {"label": "jump", "segment": [1, 2]}]
    (tmp_path / "file").write_text(json.dumps({"database": {"a": {"subset": "val", "annotations": listed}}}))
    assert "annotations[0].segment: found nothing" in problems(tmp_path / "file")[0]


def test_labels_from_csv(tmp_path: Path) -> None:
    rows = 'video_id,label,subset\na,run,train\nb,"Hand, washing",val\na,jump,train\n'
    a, b = load(tmp_path, rows).videos
    assert (a.labels, a.subset) == (("run", "jump"), "training")
    assert (b.labels, b.subset) == (("Hand, washing",), "validation")
    (plain,) = load(tmp_path, "video_id,label\na,run\n").videos
    assert plain.subset == "unspecified"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a,run", "line 2: found 2 cells; expected 3"),
        ("a,run,train\na,jump,val", "line 3: video 'a': subset is 'val', above it was 'train'"),
        ("a,,train", "labels[0]: found ''; expected the name of a class"),
        ("a,run,elsewhere", "subset: found 'elsewhere'"),
        ("", "has a header and no rows"),
        ("../a,run,train", "id: found '../a'"),
    ],
)
def test_a_broken_csv_of_labels_is_named(tmp_path: Path, rows: str, said: str) -> None:
    path = tmp_path / "file"
    path.write_text(f"video_id,label,subset\n{rows}\n")
    assert any(said in problem for problem in problems(path))
