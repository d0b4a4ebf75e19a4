"""Average mAP of detections, with the semantics of the official ActivityNet code, fast enough for searches.

Letters: T thresholds, K classes, N detections, G truths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talaria.errors import DataError
from talaria.evaluation.arrays import Detections, FloatArray, GroundTruth, IntArray, check_range
from talaria.evaluation.matching import match
from talaria.evaluation.precision import average_precisions
from talaria.evaluation.ranking import ranked_by_class

ACTIVITYNET_THRESHOLDS: FloatArray = np.linspace(0.5, 0.95, 10)
"""As the official code makes them: its 0.9 is 0.8999999999999999."""


@dataclass(frozen=True)
class DetectionResult:
    """What a set of detections is worth.

    Attributes:
        average_map: mean of `map_at_tiou`.
        map_at_tiou: (T,) mean over the classes that have truths.
        ap_TK: average precision; NaN for classes without truths, 0 for those without detections.
        tiou_thresholds: (T,).
        num_truths: (K,) truths of each class.
    """

    average_map: float
    map_at_tiou: FloatArray
    ap_TK: FloatArray
    tiou_thresholds: FloatArray
    num_truths: IntArray


def detection_map(
    truth: GroundTruth, detections: Detections, tiou_thresholds: FloatArray = ACTIVITYNET_THRESHOLDS
) -> DetectionResult:
    """Average precision of every class at every threshold, and its means.

    The best-scored detection goes first (of equal scores the later one) and takes the truth of its video and
    class that it overlaps most among those not yet taken at that threshold; the test is tIoU >= threshold,
    and 0/0 passes it. Detections of unknown videos are false positives. Detections of a class without truths
    change nothing, where the official code stops with a KeyError: half of a validation set may lack a class.

    Raises:
        DataError: if there are no truths at all.
        ValueError: if a threshold is outside (0, 1] or a label outside the class list.

    Source: `eval_detection.py` of activitynet/ActivityNet, with stable sorting.
    """
    thresholds = checked_thresholds(tiou_thresholds)
    check_truth(truth)
    check_labels(detections.label_idx, len(truth.classes))
    order, begins = ranked_by_class(detections.score, detections.label_idx, len(truth.classes))
    ap_TK = _class_precisions(truth, begins, match(truth, detections, order, thresholds), order.size)
    map_at_tiou = ap_TK[:, truth.truths_per_class > 0].mean(axis=1)
    return DetectionResult(float(map_at_tiou.mean()), map_at_tiou, ap_TK, thresholds, truth.truths_per_class)


def _class_precisions(truth: GroundTruth, begins: IntArray, taker_TG: IntArray, nobody: int) -> FloatArray:
    """(T, K) average precision from the row that takes each truth; a class's rows start at `begins`."""
    level, number = np.nonzero(taker_TG < nobody)
    label = truth.label_idx[number]
    lists, ranks = level * begins.size + label, taker_TG[level, number] - begins[label]
    order = np.lexsort((ranks, lists))
    positives = np.tile(truth.truths_per_class, len(taker_TG))
    return average_precisions(lists[order], ranks[order], positives).reshape(len(taker_TG), begins.size)


def checked_thresholds(tiou_thresholds: FloatArray) -> FloatArray:
    """The thresholds as an array, if each is in (0, 1]."""
    thresholds = np.atleast_1d(np.asarray(tiou_thresholds, np.float64))
    if thresholds.ndim != 1 or not thresholds.size or not ((thresholds > 0) & (thresholds <= 1)).all():
        raise ValueError(f"tiou_thresholds are {thresholds.tolist()}, expected values in (0, 1]")
    return thresholds


def check_truth(truth: GroundTruth) -> None:
    """Refuse a ground truth that no score can be computed on."""
    if not truth.start_s.size:
        raise DataError(
            f"ground truth: none of {len(truth.video_ids)} videos has an annotated segment, "
            "expected at least one; choose a subset that is annotated"
        )


def check_labels(label_idx: IntArray, num_classes: int) -> None:
    """Refuse label numbers that the class list does not have."""
    check_range("label_idx", label_idx, num_classes)
