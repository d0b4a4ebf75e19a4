"""Every real annotation file loads, for training and for a judge, with what is odd in it counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from talaria.data.annotations import load_annotations
from talaria.data.classes import MULTITHUMOS_CLASSES, read_classes

# file: videos of training, validation and testing; segments kept and clipped; classes; oddities
FILES: dict[str, tuple[tuple[int, int, int], int, int, int, dict[str, int]]] = {
    "activitynet_v1-3.json.gz": (
        (10024, 4926, 5044), 23064, 23064, 200,
        {"zero_length": 12, "duplicate": 49, "past_end": 14, "past_end_rounding": 217},
    ),
    "bmn/anet_anno_action.json.gz": (
        (9649, 4728, 4851), 22152, 22152, 200,
        {"zero_length": 12, "duplicate": 45, "past_end": 13, "past_end_rounding": 202},
    ),
    "bmn/video_info_new.csv.gz": ((9649, 4728, 4851), 0, 0, 0, {}),
    "hacs_one_video_from_readme.json": ((1, 0, 0), 2, 2, 1, {}),
    "kth_00sequences.txt.gz": ((191, 192, 216), 2391, 2391, 6, {"no_video": 1}),
    "multithumos.json.gz": (
        (200, 0, 213), 38690, 38630, 65, {"zero_length": 7, "past_end": 5, "outside": 60},
    ),
    "person_at_table.json": ((0, 1, 0), 6, 6, 1, {}),
    "thumos14.json.gz": ((0, 200, 212), 6365, 6335, 20, {"outside": 30}),
    "thumos14_evalkit_annotation.zip": ((0, 0, 213), 3358, 3358, 20, {}),
    "thumos_gt.json.gz": ((200, 0, 210), 6318, 6318, 20, {"numeric_text": 6318}),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_loads(shared: Path, name: str) -> None:
    subsets, kept, clipped, num_classes, oddities = FILES[name]
    for ends, expected in (("kept", kept), ("clipped", clipped)):
        loaded = load_annotations(shared / "data" / "annotations" / name, None, ends=ends)  # type: ignore[arg-type]
        dataset = loaded.dataset
        assert tuple(len(dataset.subset(s)) for s in ("training", "validation", "testing")) == subsets
        assert len(dataset.videos) == sum(subsets)
        assert sum(len(video.annotations) for video in dataset.videos) == expected
        assert len(dataset.classes) == num_classes
        assert loaded.counts == oddities
        assert len(loaded.notes) == len(oddities)


@pytest.mark.parametrize("folder", ["annotations", "ground_truth"])
def test_no_real_file_is_forgotten(shared: Path, folder: str) -> None:
    known = {*FILES, "bmn/action_name.csv", "hacs_action_name.csv"}
    root = shared / "data" / folder
    for path in (found for found in root.rglob("*") if found.is_file()):
        if folder == "annotations":
            assert str(path.relative_to(root)) in known
        else:
            assert load_annotations(path, None).dataset.videos


def test_thumos_ambiguous_stretches_are_read(shared: Path) -> None:
    dataset = load_annotations(shared / "data/annotations/thumos14_evalkit_annotation.zip", None).dataset
    assert sum(len(video.ambiguous) for video in dataset.videos) == 99
    assert dataset.classes == MULTITHUMOS_CLASSES[:20]


def test_multithumos_names_fit_thumos14_and_the_published_counts(shared: Path) -> None:
    folder = shared / "data" / "annotations"
    dense = load_annotations(folder / "multithumos.json.gz", None, ends="kept").dataset.videos
    sparse = load_annotations(folder / "thumos_gt.json.gz", None).dataset.videos
    named = {video.video_id: set(video.annotations) for video in dense}
    found = [(note.label, note in named[video.video_id]) for video in sparse for note in video.annotations]
    for label in MULTITHUMOS_CLASSES[:20]:
        equal = [same for name, same in found if name == label]
        assert sum(equal) > 0.5 * len(equal), label
    counts = Counter(note.label for video in dense for note in video.annotations)
    published = {"Run": 3693, "Walk": 3059, "NoHuman": 1176, "PatPerson": 46, "VolleyballBump": 15}
    assert {label: counts[label] for label in published} == published


def test_real_class_lists(shared: Path) -> None:
    folder = shared / "data" / "annotations"
    for name in ("bmn/action_name.csv", "hacs_action_name.csv"):
        classes = read_classes(folder / name)
        assert (len(classes), classes[0]) == (200, "Applying sunscreen")
    activitynet = load_annotations(folder / "activitynet_v1-3.json.gz", None).dataset.classes
    assert activitynet == tuple(sorted(read_classes(folder / "bmn/action_name.csv")))
