"""Annotation files: what is read, what is refused, and that all problems are said at once."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from talaria.data.annotations import load_annotations
from talaria.errors import DataError


def entry(**changes: Any) -> dict[str, Any]:
    good = {
        "duration": 20.0,
        "subset": "training",
        "annotations": [{"segment": [1.0, 4.5], "label": "dive"}],
    }
    return {**good, **changes}


def segments(*pairs: Any) -> list[dict[str, Any]]:
    return [{"segment": pair, "label": "dive"} for pair in pairs]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    return folder


def write(tmp_path: Path, database: Any) -> Path:
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"version": "1", "database": database}))
    return path


def problems(path: Path, videos: Path) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        load_annotations(path, videos)
    return caught.value.problems


def test_reads_videos_in_file_order_and_classes_sorted(tmp_path: Path, videos: Path) -> None:
    database = {
        "b": entry(duration="20.5", annotations=[{"segment": [0, 2], "label": "swim"}]),
        "a": entry(subset="validation"),
        "-c": entry(subset="testing", annotations=[]),
    }
    (videos / "a.mp4").touch()
    loaded = load_annotations(write(tmp_path, database), videos)
    assert loaded.notes == ()
    assert loaded.dataset.classes == ("dive", "swim")
    assert [v.video_id for v in loaded.dataset.videos] == ["b", "a", "-c"]
    b, a, c = loaded.dataset.videos
    assert (b.duration_s, b.path, b.annotations[0].end_s) == (20.5, None, 2.0)
    assert (a.subset, a.path, c.annotations) == ("validation", str(videos / "a.mp4"), ())


def test_gzip_reads_the_same(tmp_path: Path, videos: Path) -> None:
    plain = write(tmp_path, {"a": entry()})
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert load_annotations(packed, videos).dataset == load_annotations(plain, videos).dataset
    packed.write_bytes(packed.read_bytes()[:-20])
    assert "damaged gzip" in problems(packed, videos)[0]


@pytest.mark.parametrize(
    ("changes", "place", "said"),
    [
        ({"annotations": segments([5.0, 2.0])}, "annotations[0].segment", "expected start <= end"),
        ({"annotations": segments([1.0, 2.0], [20.0, 21.5])}, "annotations[1]", "spans 20 to 21.5 s"),
        ({"annotations": segments([-3.0, -1.0])}, "annotations[0]", "expected seconds within the video"),
        ({"annotations": segments([1.0])}, "annotations[0].segment", "two finite numbers"),
        ({"annotations": segments("1,2")}, "annotations[0].segment", "two finite numbers"),
        ({"annotations": segments([1.0, float("nan")])}, "annotations[0].segment", "two finite numbers"),
        ({"annotations": segments([1.0, float("inf")])}, "annotations[0].segment", "two finite numbers"),
        ({"annotations": segments([1.0, 10**400])}, "annotations[0].segment", "two finite numbers"),
        ({"annotations": segments(["1.0", "two"])}, "annotations[0].segment", "two finite numbers"),
        ({"annotations": segments(["1.0", "nan"])}, "annotations[0].segment", "two finite numbers"),
        ({"annotations": segments([True, 2])}, "annotations[0].segment", "two finite numbers"),
        ({"annotations": [{"segment": [1, 2]}]}, "annotations[0].label", "found nothing"),
        ({"annotations": [{"segment": [1, 2], "label": 7}]}, "annotations[0].label", "found 7"),
        ({"annotations": [{"segment": [1, 2], "label": " "}]}, "annotations[0].label", "name of a class"),
        (
            {"annotations": [{"segment": [1, 2], "label": "\ud800"}]},
            "annotations[0].label",
            "name of a class",
        ),
        ({"annotations": {"segment": [1, 2]}}, "annotations", "expected a list"),
        ({"annotations": [[1, 2]]}, "annotations[0]", "expected segment and label"),
        ({"duration": "long"}, "duration", "positive number of seconds"),
        ({"duration": 0}, "duration", "positive number of seconds"),
        ({"duration": float("nan")}, "duration", "positive number of seconds"),
        ({"subset": "trian"}, "subset", "expected one of training, validation, testing"),
        ({"subset": ["training"]}, "subset", "expected one of training"),
        ({"subset": None}, "subset", "found nothing"),
        ({"labels": "dive"}, "labels", "expected a list of classes"),
        ({"labels": ["dive", 3]}, "labels[1]", "expected the name of a class"),
        ({"ambiguous": 3}, "ambiguous", "expected a list of [start, end]"),
        ({"ambiguous": [[3, 1]]}, "ambiguous[0]", "expected start <= end"),
        ({"file": "../secret.mp4"}, "file", "plain name"),
        ({"file": 3}, "file", "expected a name"),
    ],
)
def test_a_bad_field_is_named(
    tmp_path: Path, videos: Path, changes: dict[str, Any], place: str, said: str
) -> None:
    path = write(tmp_path, {"good": entry(), "bad one": entry(**changes)})
    (problem,) = problems(path, videos)
    assert problem.startswith(f"{path}: video 'bad one': {place}: ")
    assert said in problem


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "a\\b", "..", ".", "", " ", "a\x00b", "a\nb", "x" * 300, "\ud800"]
)
def test_an_id_that_is_no_plain_name_is_refused(tmp_path: Path, videos: Path, name: str) -> None:
    (problem,) = problems(write(tmp_path, {name: entry()}), videos)
    assert "id: " in problem


def test_a_repeated_id_is_refused(tmp_path: Path, videos: Path) -> None:
    path = tmp_path / "annotations.json"
    one = json.dumps(entry())
    path.write_text(f'{{"database": {{"a": {one}, "b": {one}, "a": {one}}}}}')
    (problem,) = problems(path, videos)
    assert "video 'a': is there more than once" in problem


def test_a_repeated_field_is_refused(tmp_path: Path, videos: Path) -> None:
    path = tmp_path / "annotations.json"
    path.write_text('{"database": {"a": {"subset": "training", "subset": "testing", "annotations": []}}}')
    (problem,) = problems(path, videos)
    assert "'subset' is there more than once" in problem
    path.write_text('{"database": {}, "database": {"a": {"subset": "training", "annotations": []}}}')
    (problem,) = problems(path, videos)
    assert "database is there more than once" in problem


def test_all_problems_come_at_once_and_the_rest_is_counted(tmp_path: Path, videos: Path) -> None:
    found = problems(write(tmp_path, {f"v{i}": entry(subset="x", duration=-1) for i in range(15)}), videos)
    assert len(found) == 21
    assert "and 10 more problems" in found[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("", "the file is empty"),
        ("hello there", "not JSON"),
        ("[1]", "no object named database"),
        ('{"database": []}', "no object named database"),
        ('{"database": {}}', "empty"),
        ('{"a": {"segments": []}}', "no object named database"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, videos: Path, text: str, said: str) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(text)
    assert said in problems(path, videos)[0]


def test_absent_files_are_refused(tmp_path: Path, videos: Path) -> None:
    assert "cannot be read" in problems(tmp_path / "absent.json", videos)[0]
    assert (
        "expected the folder of videos" in problems(write(tmp_path, {"a": entry()}), tmp_path / "absent")[0]
    )


def test_files_are_found_by_id_prefix_field_and_any_case(tmp_path: Path, videos: Path) -> None:
    for name in ("a.MP4", "v_b.webm", "other name.mkv", "d.txt"):
        (videos / name).touch()
    (videos / "e.mp4").mkdir()
    database = {name: entry() for name in "abde"} | {
        "c": entry(file="other name.mkv"),
        "f": entry(file="f.mp4"),
    }
    found = {v.video_id: v.path for v in load_annotations(write(tmp_path, database), videos).dataset.videos}
    assert found == {
        "a": str(videos / "a.MP4"),
        "b": str(videos / "v_b.webm"),
        "c": str(videos / "other name.mkv"),
        "d": None,
        "e": None,
        "f": None,
    }


def test_two_files_for_one_video_are_refused_unless_one_is_named(tmp_path: Path, videos: Path) -> None:
    for name in ("a.mp4", "v_a.mkv"):
        (videos / name).touch()
    (problem,) = problems(write(tmp_path, {"a": entry()}), videos)
    assert "a.mp4, v_a.mkv all fit" in problem
    named = load_annotations(write(tmp_path, {"a": entry(file="v_a.mkv")}), videos)
    assert named.dataset.videos[0].path == str(videos / "v_a.mkv")


def test_one_file_for_two_videos_is_noted(tmp_path: Path, videos: Path) -> None:
    (videos / "v_a.mp4").touch()
    loaded = load_annotations(write(tmp_path, {"a": entry(), "v_a": entry()}), videos)
    assert loaded.counts == {"shared_file": 1}
    assert "also belongs to video 'a'" in loaded.notes[0]


def test_subset_names_are_read_in_any_spelling(tmp_path: Path, videos: Path) -> None:
    names = ("Train", "VAL", "test", "training", "Validation", "Testing")
    path = write(tmp_path, {name: entry(subset=name) for name in names})
    loaded = load_annotations(path, videos, subsets=("train", "validation", "Test"))
    found = [video.subset for video in loaded.dataset.videos]
    assert found == ["training", "validation", "testing"] * 2


def test_other_subset_names_can_be_allowed_and_stay(tmp_path: Path, videos: Path) -> None:
    path = write(tmp_path, {"a": entry(subset="Fold 1")})
    assert "expected one of" in problems(path, videos)[0]
    assert load_annotations(path, videos, subsets=("Fold 1",)).dataset.subsets() == ("Fold 1",)
