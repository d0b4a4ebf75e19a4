"""Who finds what others miss."""

from __future__ import annotations

import numpy as np

from talaria.ensemble.insight import complementarity, found_truths
from talaria.evaluation.arrays import Detections, GroundTruth
from talaria.records import Annotation, Detection, Video

VIDEOS = (
    Video("a", None, "val", 60.0, (Annotation(0, 10, "run"), Annotation(20, 30, "run"))),
    Video("b", None, "val", 60.0, (Annotation(5, 15, "jump"),)),
)
TRUTH = GroundTruth.of_videos(VIDEOS, ("jump", "run"))


def detections(results: dict[str, list[Detection]]) -> Detections:
    return Detections.of_results(results, TRUTH)


FIRST = detections({"a": [Detection(0, 10, "run", 0.9), Detection(40, 50, "run", 0.8)]})
SECOND = detections(
    {"a": [Detection(21, 30, "run", 0.9), Detection(0, 9, "run", 0.8)], "b": [Detection(5, 14, "jump", 0.1)]}
)


def test_a_truth_is_found_by_one_of_as_many_detections_as_there_are_truths() -> None:
    np.testing.assert_array_equal(found_truths(TRUTH, FIRST), [True, False, False])
    np.testing.assert_array_equal(found_truths(TRUTH, SECOND), [True, True, True])
    late = detections({"b": [Detection(30, 40, "jump", 0.9), Detection(5, 15, "jump", 0.8)]})
    assert not found_truths(TRUTH, late).any()
    wrong = detections({"b": [Detection(5, 15, "run", 0.9)]})
    assert not found_truths(TRUTH, wrong).any()
    assert not found_truths(TRUTH, detections({})).any()


def test_the_matrix_counts_what_the_row_finds_and_the_column_misses() -> None:
    found = complementarity(TRUTH, {"first": FIRST, "second": SECOND})
    np.testing.assert_array_equal(found, [[0, 0], [2, 0]])
