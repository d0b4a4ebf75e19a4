"""THUMOS14 mAP: against the oracle on random, tied and degenerate lists, its rules, a published result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_lists import (
    DETECTIONS,
    NUM_CLASSES,
    NUM_VIDEOS,
    THRESHOLDS,
    TIMES,
    TRUTHS,
    detection_table,
    noisy_lists,
    tied,
    truth_table,
)

from reference import thumos_oracle
from reference.detection_oracle import Scored, Truth
from reference.thumos_oracle import Span
from talaria.data.annotations import load_annotations
from talaria.errors import DataError
from talaria.evaluation.arrays import Detections, GroundTruth, Spans
from talaria.evaluation.formats import read_predictions
from talaria.evaluation.thumos import THUMOS14_THRESHOLDS, thumos_map
from talaria.records import Annotation, Detection, Video

SPANS = st.lists(
    st.tuples(st.integers(0, NUM_VIDEOS - 1), TIMES).map(lambda row: (row[0], *row[1])), max_size=4
)
NAMES = st.permutations([f"video_{number}" for number in range(NUM_VIDEOS)])


def judged_table(
    truths: Sequence[Truth], spans: Sequence[Span], names: Sequence[str], num_classes: int = NUM_CLASSES
) -> GroundTruth:
    table = truth_table(truths, len(names), num_classes)
    return replace(table, video_ids=tuple(names), ambiguous=Spans(*np.array(spans).reshape(-1, 3).T))


def slow_ap(
    truths: Sequence[Truth],
    spans: Sequence[Span],
    names: Sequence[str],
    detections: Sequence[Scored],
    num_classes: int,
    thresholds: np.ndarray,
) -> np.ndarray:
    return np.array(
        [
            [
                thumos_oracle.average_precision(names, truths, spans, detections, label, level)
                for label in range(num_classes)
            ]
            for level in thresholds
        ]
    )


@settings(max_examples=200, deadline=None)
@given(TRUTHS, SPANS, NAMES, DETECTIONS)
def test_agrees_with_the_oracle_on_tied_and_degenerate_lists(
    truths: list[Truth], spans: list[Span], names: list[str], detections: list[Scored]
) -> None:
    result = thumos_map(judged_table(truths, spans, names), detection_table(detections), THRESHOLDS)
    want = slow_ap(truths, spans, names, detections, NUM_CLASSES, THRESHOLDS)
    np.testing.assert_allclose(result.ap_TK, want, atol=1e-12)
    np.testing.assert_allclose(result.map_at_tiou, np.nanmean(want, axis=1), atol=1e-12)
    assert result.average_map == pytest.approx(np.nanmean(want), abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_agrees_with_the_oracle_on_crowded_videos(seed: int) -> None:
    truths, detections = noisy_lists(seed, num_videos=3, num_classes=2, num_truths=60, num_detections=250)
    spans = [(video, 10.0 * video, 10.0 * video + 5.0) for video in range(2)]
    names = ["c", "a", "b"]
    for rows in (detections, tied(detections)):
        result = thumos_map(judged_table(truths, spans, names), detection_table(rows))
        want = slow_ap(truths, spans, names, rows, 2, THUMOS14_THRESHOLDS)
        np.testing.assert_allclose(result.ap_TK, want, atol=1e-12)
        assert 0.05 < result.average_map < 0.95


def one_class(
    truths: Sequence[tuple[float, float]],
    detections: Sequence[tuple[float, float, float]],
    spans: Sequence[tuple[float, float]] = (),
) -> float:
    """mAP at tIoU 0.5 of one video with one class."""
    truth = judged_table([(0, 0, *times) for times in truths], [(0, *span) for span in spans], ["a"], 1)
    return thumos_map(
        truth, detection_table([(0, 0, *row) for row in detections]), np.array([0.5])
    ).average_map


def test_the_truth_takes_what_it_overlaps_most_not_what_scores_best() -> None:
    near, exact = (0.0, 8.0, 0.9), (0.0, 10.0, 0.8)
    assert one_class([(0.0, 10.0)], [near, exact]) == 0.5
    assert one_class([(0.0, 10.0)], [near]) == 1.0


def test_earlier_truths_choose_first() -> None:
    wide, narrow = (0.0, 10.0), (0.0, 7.0)
    shared, other = (0.0, 8.0, 0.9), (1.0, 12.0, 0.8)
    assert one_class([narrow, wide], [shared, other]) == 1.0
    assert one_class([wide, narrow], [shared, other]) == 0.5


def test_the_threshold_itself_is_not_enough() -> None:
    assert one_class([(0.0, 10.0)], [(0.0, 5.0, 0.5)]) == 0.0
    assert one_class([(0.0, 10.0)], [(0.0, 5.001, 0.5)]) == 1.0
    assert one_class([(3.0, 3.0)], [(3.0, 3.0, 0.5)]) == 0.0, "two empty segments do not overlap"


def test_a_free_detection_on_an_ambiguous_stretch_is_left_out() -> None:
    truths, found = [(0.0, 10.0)], [(50.0, 60.0, 0.9), (0.0, 10.0, 0.8)]
    assert one_class(truths, found) == 0.5
    assert one_class(truths, found, [(59.0, 70.0)]) == 1.0
    assert one_class(truths, found, [(60.0, 70.0)]) == 0.5, "touching is no overlap"
    assert one_class(truths, found, [(5.0, 6.0)]) == 0.5, "a hit stays a hit"


def test_precision_is_that_of_the_hit_itself() -> None:
    truths = [(0.0, 10.0), (20.0, 30.0), (40.0, 50.0)]
    found = [(80.0, 90.0, 0.9), (0.0, 10.0, 0.8), (20.0, 30.0, 0.7)]
    assert one_class(truths, found) == pytest.approx((1 / 2 + 2 / 3) / 3)


def test_between_equal_scores_videos_go_by_name_then_entries_by_file() -> None:
    right, wrong = (0, 0, 0.0, 10.0, 0.5), (1, 0, 0.0, 10.0, 0.5)
    for names, want in ((["a", "b"], 1.0), (["b", "a"], 0.5)):
        truth = judged_table([(0, 0, 0.0, 10.0)], [], names, 1)
        assert thumos_map(truth, detection_table([wrong, right])).average_map == want
    stranger = (-1, 0, 0.0, 10.0, 0.5)
    truth = judged_table([(0, 0, 0.0, 10.0)], [], ["z"], 1)
    assert thumos_map(truth, detection_table([stranger, right])).average_map == 1.0
    assert one_class([(0.0, 10.0)], [(50.0, 60.0, 0.5), (0.0, 10.0, 0.5)]) == 0.5


def test_halves_of_the_videos_score_as_if_alone() -> None:
    truths, detections = noisy_lists(6, 4, 2, 40, 200)
    spans, names = [(0, 0.0, 20.0), (1, 0.0, 50.0), (2, 5.0, 9.0)], ["d", "c", "b", "a"]
    half = np.array([True, False, True, False])
    part = judged_table(truths, spans, names).within(half)
    assert part.ambiguous.video_idx.tolist() == [0, 2]
    want = slow_ap(
        [row for row in truths if row[0] in (0, 2)],
        spans,
        names,
        [row for row in detections if row[0] in (0, 2)],
        2,
        THUMOS14_THRESHOLDS,
    )
    found = thumos_map(part, detection_table(detections).within(half))
    np.testing.assert_allclose(found.ap_TK, want, atol=1e-12)


def test_ambiguous_spans_come_from_the_records() -> None:
    videos = (
        Video("a", None, "testing", None, (Annotation(0.0, 10.0, "run"),), ambiguous=((50.0, 60.0),)),
        Video("b", None, "testing", None, (), ambiguous=((0.0, 1.0), (2.0, 3.0))),
    )
    truth = GroundTruth.of_videos(videos, ("run",))
    assert truth.ambiguous.video_idx.tolist() == [0, 1, 1]
    results = {"a": [Detection(55.0, 65.0, "run", 0.9), Detection(0.0, 10.0, "run", 0.8)]}
    assert thumos_map(truth, Detections.of_results(results, truth)).average_map == 1.0
    with pytest.raises(ValueError, match=r"ambiguous\.video_idx"):
        replace(truth, ambiguous=Spans(np.array([2]), np.zeros(1), np.ones(1)))


def test_nothing_found_and_nothing_to_find() -> None:
    assert thumos_map(truth_table([(0, 0, 0.0, 1.0)]), detection_table([])).average_map == 0.0
    with pytest.raises(DataError, match="none of 3 videos"):
        thumos_map(truth_table([]), detection_table([]))


def test_a_published_detector_scores_what_the_official_kit_gives_it(shared: Path) -> None:
    kit = load_annotations(
        shared / "data/annotations/thumos14_evalkit_annotation.zip", None, ends="kept"
    ).dataset
    truth = GroundTruth.of_videos(kit.videos, kit.classes)
    table = read_predictions(shared / "data/predictions/turn_flow_scnn_th14_iou0.5.txt.gz")
    result = thumos_map(truth, table.detections(truth))
    assert result.map_at_tiou[2] == pytest.approx(0.255563, abs=5e-7)
    assert (np.diff(result.map_at_tiou) < 0).all()
    unjudged = replace(truth, ambiguous=Spans.none())
    assert thumos_map(unjudged, table.detections(truth)).map_at_tiou[2] < 0.2555
