"""Average mAP: against the oracle on random, tied and degenerate lists, and its rules one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_lists import (
    DETECTIONS,
    NUM_CLASSES,
    THRESHOLDS,
    TRUTHS,
    detection_table,
    noisy_lists,
    tied,
    truth_table,
)

from reference.detection_oracle import Scored, Truth, average_precision
from talaria.errors import DataError
from talaria.evaluation.arrays import Detections, GroundTruth
from talaria.evaluation.detection import ACTIVITYNET_THRESHOLDS, detection_map
from talaria.records import Annotation, Detection, Video


def slow_ap(
    truths: list[Truth], detections: list[Scored], num_classes: int, thresholds: np.ndarray
) -> np.ndarray:
    return np.array(
        [[average_precision(truths, detections, k, t) for k in range(num_classes)] for t in thresholds]
    )


@settings(max_examples=150, deadline=None)
@given(TRUTHS, DETECTIONS)
def test_agrees_with_the_oracle_on_tied_and_degenerate_lists(
    truths: list[Truth], detections: list[Scored]
) -> None:
    result = detection_map(truth_table(truths), detection_table(detections), THRESHOLDS)
    want = slow_ap(truths, detections, NUM_CLASSES, THRESHOLDS)
    np.testing.assert_allclose(result.ap_TK, want, atol=1e-12)
    np.testing.assert_allclose(result.map_at_tiou, np.nanmean(want, axis=1), atol=1e-12)
    assert result.average_map == pytest.approx(np.nanmean(want), abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_agrees_with_the_oracle_on_crowded_videos(seed: int) -> None:
    truths, detections = noisy_lists(seed, num_videos=3, num_classes=2, num_truths=60, num_detections=250)
    for rows in (detections, tied(detections)):
        result = detection_map(truth_table(truths), detection_table(rows))
        want = slow_ap(truths, rows, 2, ACTIVITYNET_THRESHOLDS)
        np.testing.assert_allclose(result.ap_TK, want, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(TRUTHS, DETECTIONS, st.integers(2, 4))
def test_every_entry_several_times_agrees_with_the_oracle(
    truths: list[Truth], detections: list[Scored], times: int
) -> None:
    truths, detections = truths * times, detections * times
    result = detection_map(truth_table(truths), detection_table(detections), THRESHOLDS)
    np.testing.assert_allclose(result.ap_TK, slow_ap(truths, detections, NUM_CLASSES, THRESHOLDS), atol=1e-12)


def test_classes_far_apart_and_few_detections_agree_with_the_oracle() -> None:
    truths = [(0, 0, 0.0, 10.0), (2, 999, 0.0, 10.0), (2, 999, 5.0, 15.0)]
    detections = [(2, 999, 4.0, 14.0, 0.5), (-1, 0, 0.0, 10.0, 0.9), (0, 0, 0.0, 10.0, 0.1)]
    result = detection_map(truth_table(truths, 3, 1000), detection_table(detections), THRESHOLDS)
    np.testing.assert_allclose(result.ap_TK, slow_ap(truths, detections, 1000, THRESHOLDS), atol=1e-12)


def one_class(truths: list[tuple[float, float]], detections: list[tuple[float, float, float]]) -> float:
    """mAP at tIoU 0.5 of one video with one class."""
    truth = truth_table([(0, 0, *times) for times in truths], 1, 1)
    found = detection_table([(0, 0, *row) for row in detections])
    return detection_map(truth, found, np.array([0.5])).average_map


def test_a_taken_truth_sends_the_detection_to_its_next_best() -> None:
    truths = [(0.0, 10.0), (1.0, 12.0)]
    assert one_class(truths, [(0.0, 10.0, 0.9), (0.0, 10.5, 0.8)]) == 1.0
    assert one_class(truths[:1], [(0.0, 10.0, 0.9), (0.0, 10.0, 0.8)]) == 1.0
    assert one_class(truths[:1], [(50.0, 60.0, 0.9), (0.0, 10.0, 0.8)]) == 0.5


def test_of_equal_scores_the_later_entry_goes_first() -> None:
    right, wrong = (0.0, 10.0, 0.5), (50.0, 60.0, 0.5)
    assert one_class([(0.0, 10.0)], [wrong, right]) == 1.0
    assert one_class([(0.0, 10.0)], [right, wrong]) == 0.5


def test_of_equally_overlapped_truths_the_later_is_taken() -> None:
    first, second = (0.0, 10.0), (5.0, 15.0)
    detections = [(2.5, 12.5, 0.9), (0.0, 10.0, 0.8)]
    assert one_class([first, second], detections) == 1.0
    assert one_class([second, first], detections) == 0.5


def test_an_empty_detection_on_an_empty_truth_is_a_hit() -> None:
    assert one_class([(3.0, 3.0)], [(3.0, 3.0, 0.5)]) == 1.0
    assert one_class([(3.0, 3.0)], [(4.0, 4.0, 0.5)]) == 1.0, "0/0 wherever the two are"
    assert one_class([(3.0, 3.0)], [(2.0, 4.0, 0.5)]) == 0.0
    assert one_class([(2.0, 4.0)], [(3.0, 3.0, 0.5)]) == 0.0


def test_the_threshold_itself_is_reached() -> None:
    assert one_class([(0.0, 10.0)], [(0.0, 5.0, 0.5)]) == 1.0
    assert one_class([(0.0, 10.0)], [(0.0, 4.999, 0.5)]) == 0.0


def test_classes_without_detections_count_zero_and_without_truths_not_at_all() -> None:
    truth = truth_table([(0, 0, 0.0, 10.0), (0, 1, 0.0, 10.0)], 1, 3)
    found = detection_table([(0, 0, 0.0, 10.0, 0.9), (0, 2, 0.0, 10.0, 0.9)])
    result = detection_map(truth, found)
    assert result.average_map == 0.5
    np.testing.assert_array_equal(result.ap_TK[0], [1.0, 0.0, np.nan])
    assert result.num_truths.tolist() == [1, 1, 0]


def test_no_detections_at_all_score_zero() -> None:
    assert detection_map(truth_table([(0, 0, 0.0, 1.0)]), detection_table([])).average_map == 0.0


def test_time_shift_and_scale_change_nothing() -> None:
    truths, detections = noisy_lists(5, 4, 3, 30, 120)
    truth, found = truth_table(truths, 4, 3), detection_table(detections)
    moved = GroundTruth(
        truth.video_ids, truth.classes, truth.video_idx, truth.label_idx, truth.start_s * 4, truth.end_s * 4
    )
    moved_found = Detections(
        found.video_idx, found.label_idx, found.start_s * 4, found.end_s * 4, found.score * 2 - 7
    )
    np.testing.assert_array_equal(detection_map(truth, found).ap_TK, detection_map(moved, moved_found).ap_TK)


def test_very_crowded_video_is_scored_exactly() -> None:
    times = np.arange(1000) * 2.0
    truth = truth_table([(0, 0, start, start + 1) for start in times], 1, 1)
    hits = [(0, 0, start, start + 1, 1.0 + start) for start in times[::-1]]
    misses = [(0, 0, start + 1, start + 2, -start) for start in times]
    assert detection_map(truth, detection_table(misses + hits)).average_map == 1.0
    assert detection_map(truth, detection_table(misses)).average_map == 0.0


def test_halves_of_the_videos_score_as_if_alone() -> None:
    truths, detections = noisy_lists(6, 4, 2, 40, 200)
    half = np.array([True, False, True, False])
    found = detection_map(truth_table(truths, 4).within(half), detection_table(detections).within(half))
    alone = slow_ap(
        [row for row in truths if row[0] in (0, 2)],
        [row for row in detections if row[0] in (0, 2)],
        2,
        ACTIVITYNET_THRESHOLDS,
    )
    np.testing.assert_allclose(found.ap_TK, alone, atol=1e-12)


def test_records_become_arrays() -> None:
    videos = (
        Video("a", None, "validation", 9.0, (Annotation(1.0, 2.0, "run"), Annotation(3.0, 4.0, "jump"))),
        Video("b", None, "validation", 9.0, ()),
    )
    truth = GroundTruth.of_videos(videos, ("jump", "run"))
    results = {"stranger": [Detection(1.0, 2.0, "run", 0.9)], "a": [Detection(3.0, 4.0, "jump", 0.8)]}
    result = detection_map(truth, Detections.of_results(results, truth))
    np.testing.assert_array_equal(result.ap_TK[0], [1.0, 0.0])
    with pytest.raises(DataError, match="'swim' is not among"):
        Detections.of_results({"a": [Detection(0.0, 1.0, "swim", 0.5)]}, truth)
    with pytest.raises(DataError, match="'run' is not among"):
        GroundTruth.of_videos(videos, ("jump",))


def test_what_cannot_be_scored_is_refused() -> None:
    truth = truth_table([(0, 0, 0.0, 1.0)])
    with pytest.raises(DataError, match="none of 3 videos has an annotated segment"):
        detection_map(truth_table([]), detection_table([]))
    with pytest.raises(ValueError, match="not finite"):
        detection_table([(0, 0, 0.0, 1.0, np.nan)])
    with pytest.raises(ValueError, match="label_idx"):
        detection_map(truth, detection_table([(0, 9, 0.0, 1.0, 0.5)]))
    with pytest.raises(ValueError, match="tiou_thresholds"):
        detection_map(truth, detection_table([]), np.array([0.0, 0.5]))
    with pytest.raises(ValueError, match="differ in shape"):
        Detections(np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(3))
