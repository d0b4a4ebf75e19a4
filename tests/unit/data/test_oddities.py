"""What is odd in annotations without being wrong: kept or clipped, counted by kind, told in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from talaria.data.annotations import LoadedAnnotations, load_annotations
from talaria.data.segment_times import Ends
from talaria.errors import DataError

DURATION_S = 20.0


def load(folder: Path, spans: list[Any], ends: Ends = "clipped", **fields: Any) -> LoadedAnnotations:
    """One video with these segments of one class, as `load_annotations` returns it."""
    listed = [{"segment": span, "label": "dive"} for span in spans]
    entry = {"duration": DURATION_S, "subset": "training", "annotations": listed, **fields}
    path = folder / "annotations.json"
    path.write_text(json.dumps({"database": {"a": entry}}))
    return load_annotations(path, None, ends=ends)


def spans_of(loaded: LoadedAnnotations) -> list[tuple[float, float]]:
    return [(found.start_s, found.end_s) for found in loaded.dataset.videos[0].annotations]


@pytest.mark.parametrize(
    ("span", "clipped", "kind"),
    [
        ([1.0, 20.009], (1.0, 20.0), "past_end_rounding"),
        ([1.0, 20.9], (1.0, 20.0), "past_end"),
        ([19.0, 9000.0], (19.0, 20.0), "past_end"),
        ([-0.5, 3.0], (0.0, 3.0), "before_start"),
        ([3.0, 3.0], (3.0, 3.0), "zero_length"),
        ([20.0, 20.0], (20.0, 20.0), "zero_length"),
        (["1.5", "2"], (1.5, 2.0), "numeric_text"),
    ],
)
def test_a_segment_over_an_edge_is_clipped_for_training_and_kept_for_a_judge(
    tmp_path: Path, span: list[Any], clipped: tuple[float, float], kind: str
) -> None:
    for ends, expected in (("clipped", clipped), ("kept", (float(span[0]), float(span[1])))):
        loaded = load(tmp_path, [span], ends)  # type: ignore[arg-type]
        assert spans_of(loaded) == [expected]
        assert loaded.counts == {kind: 1}


def test_a_segment_over_both_edges_is_counted_for_both(tmp_path: Path) -> None:
    loaded = load(tmp_path, [[-1.0, 21.0]])
    assert spans_of(loaded) == [(0.0, DURATION_S)]
    assert loaded.counts == {"past_end": 1, "before_start": 1}


def test_without_a_duration_no_end_is_too_late(tmp_path: Path) -> None:
    loaded = load(tmp_path, [[1.0, 9000.0]], duration=None)
    assert spans_of(loaded) == [(1.0, 9000.0)]
    assert loaded.notes == ()


@pytest.mark.parametrize("outside", [[20.0, 21.0], [500.0, 600.0], [-3.0, -1.0], [-1.0, 0.0]])
def test_a_rare_segment_outside_its_video_is_left_out_of_training_only(
    tmp_path: Path, outside: list[float]
) -> None:
    inside = [[float(start), start + 1.0] for start in range(19)]
    loaded = load(tmp_path, [*inside, outside])
    assert len(spans_of(loaded)) == 19
    assert loaded.counts == {"outside": 1}
    assert "annotations[19]" in loaded.notes[0]
    assert "left out" in loaded.notes[0]
    assert spans_of(load(tmp_path, [*inside, outside], "kept"))[-1] == tuple(outside)


def test_many_segments_outside_mean_another_unit(tmp_path: Path) -> None:
    frames = [[1.0, 2.0], [250.0, 400.0], [500.0, 900.0]]
    with pytest.raises(DataError) as caught:
        load(tmp_path, frames)
    assert len(caught.value.problems) == 2
    assert "video 'a': annotations[1]: spans 250 to 400 s, the video 0 to 20 s; expected seconds" in str(
        caught.value
    )
    assert len(spans_of(load(tmp_path, frames, "kept"))) == 3


def test_duplicates_are_compared_as_the_file_has_them(tmp_path: Path) -> None:
    loaded = load(tmp_path, [[1, 25], [1, 26], [1, 25], [1.0, 25.0]])
    assert spans_of(loaded) == [(1.0, DURATION_S)] * 4
    assert loaded.counts == {"duplicate": 2, "past_end": 4}


def test_notes_hold_count_and_example_and_oddities_every_place(tmp_path: Path) -> None:
    loaded = load(tmp_path, [[1, 2], [3, 3], [1, 2], [4, 4]])
    start = f"{tmp_path / 'annotations.json'}: "
    assert loaded.notes == (
        f"{start}segments of zero length, kept: 2, such as video 'a': annotations[1]: starts and ends at 3 s",
        f"{start}exact duplicates, kept: 1: video 'a': annotations[2]: is the same as annotations[0]",
    )
    assert [(found.kind, found.place) for found in loaded.oddities] == [
        ("zero_length", "annotations[1]"),
        ("duplicate", "annotations[2]"),
        ("zero_length", "annotations[3]"),
    ]


def test_a_video_without_the_field_annotations_is_noted(tmp_path: Path) -> None:
    assert load(tmp_path, [], annotations=None).counts == {"no_annotations": 1}
    assert load(tmp_path, []).counts == {}


def test_ambiguous_spans_of_a_tree_are_read(tmp_path: Path) -> None:
    loaded = load(tmp_path, [[1, 2]], ambiguous=[[3, 4], [5, 30]])
    assert loaded.dataset.videos[0].ambiguous == ((3.0, 4.0), (5.0, DURATION_S))


def test_labels_of_a_video_do_not_repeat_those_of_its_segments(tmp_path: Path) -> None:
    loaded = load(tmp_path, [[1, 2]], labels=["swim", "dive", "swim"])
    assert loaded.dataset.videos[0].labels == ("swim",)
    assert loaded.dataset.classes == ("dive", "swim")
    assert loaded.counts == {"duplicate": 1}
