"""Average mAP by the rules of THUMOS14, which leave ambiguous stretches out of the judgement.

The rules differ from ActivityNet's in five ways. The truths choose, not the detections: each in file order
takes the free detection of its video and class that it overlaps most. The overlap must be above the
threshold, not at it. A detection that nobody takes and that overlaps an ambiguous stretch is no false
positive. The precision is not interpolated. Between equal scores the order is that of the videos' names,
then of the file.

Letters: T thresholds, K classes, N detections, G truths, V videos, Q pairs of a truth and a detection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talaria.evaluation.arrays import BoolArray, Detections, FloatArray, GroundTruth, IntArray
from talaria.evaluation.detection import DetectionResult, check_labels, check_truth, checked_thresholds
from talaria.evaluation.matching import Pairs, accept, changes, overlapping_pairs
from talaria.evaluation.precision import average_precisions
from talaria.evaluation.ranking import ranked_by_class

THUMOS14_THRESHOLDS: FloatArray = np.array([0.3, 0.4, 0.5, 0.6, 0.7])
"""The thresholds that results on THUMOS14 are reported at."""

_ANY = 5e-324
"""The smallest overlap above none."""


@dataclass(frozen=True)
class Takes:
    """Truths with the detections that they take.

    Attributes:
        num_thresholds: T.
        level: number of the threshold.
        truth: number of the truth.
        row: place of the detection in the ranked lists.
    """

    num_thresholds: int
    level: IntArray
    truth: IntArray
    row: IntArray


def thumos_map(
    truth: GroundTruth, detections: Detections, tiou_thresholds: FloatArray = THUMOS14_THRESHOLDS
) -> DetectionResult:
    """Average precision of every class at every threshold, and its means.

    Detections of unknown videos are false positives and come last among equal scores, since they have no
    name; a ground truth that also lists the videos without segments gives them their place. Detections of a
    class without truths change nothing. Two zero-length segments do not overlap.

    Args:
        truth: the truths, with `truth.ambiguous`; of the videos without any, only the names matter.
        detections: scored segments.
        tiou_thresholds: (T,) in (0, 1]; nothing is above 1.

    Raises:
        DataError: if there are no truths at all.
        ValueError: if a threshold is outside (0, 1] or a label outside the class list.

    Source: `TH14evalDet` and `TH14eventdetpr` of the THUMOS14 evaluation kit of 30 September 2015. The kit of
    2014 counts eleven points of the interpolated curve and puts hits before misses of the same score.
    """
    thresholds = checked_thresholds(tiou_thresholds)
    check_truth(truth)
    check_labels(detections.label_idx, len(truth.classes))
    by_name = _by_name(truth, detections.video_idx)[::-1]
    order, begins = ranked_by_class(
        detections.score[by_name], detections.label_idx[by_name], len(truth.classes)
    )
    order = by_name[order]
    takes = _takes(truth, detections, order, thresholds)
    ap_TK = _class_precisions(truth, begins, takes, _ambiguous(truth, detections)[order])
    map_at_tiou = ap_TK[:, truth.truths_per_class > 0].mean(axis=1)
    return DetectionResult(float(map_at_tiou.mean()), map_at_tiou, ap_TK, thresholds, truth.truths_per_class)


def paired_hull_share(
    starts: FloatArray, ends: FloatArray, other_starts: FloatArray, other_ends: FloatArray
) -> FloatArray:
    """Overlap over the length from the first start to the last end; 0 for segments that do not overlap.

    For segments that overlap this is the tIoU, but for its last digit, which a strict comparison sees.
    """
    overlap = np.minimum(ends, other_ends) - np.maximum(starts, other_starts)
    hull = np.maximum(ends, other_ends) - np.minimum(starts, other_starts)
    shares: FloatArray = np.divide(overlap, hull, out=np.zeros_like(overlap), where=overlap > 0)
    return shares


def _by_name(truth: GroundTruth, video_idx: IntArray) -> IntArray:
    """(N,) entries by the names of their videos, those of unknown videos last; in one video in file order."""
    place = np.empty(len(truth.video_ids) + 1, np.int64)
    place[sorted(range(len(truth.video_ids)), key=truth.video_ids.__getitem__)] = np.arange(place.size - 1)
    place[-1] = place.size - 1  # where UNKNOWN, -1, looks
    return np.argsort(place.astype(np.min_scalar_type(place.size))[video_idx], kind="stable")


def _ambiguous(truth: GroundTruth, detections: Detections) -> BoolArray:
    """(N,) whether a detection overlaps an ambiguous stretch of its video at all."""
    touched = np.zeros(detections.score.size, np.bool_)
    spans, rows = truth.ambiguous, np.arange(touched.size)
    pairs = overlapping_pairs(
        spans, spans.by_video, detections, rows, detections.video_idx, _ANY, paired_hull_share
    )
    touched[pairs.row] = True
    return touched


def _takes(truth: GroundTruth, detections: Detections, order: IntArray, thresholds: FloatArray) -> Takes:
    """Which truth takes which row at each threshold: the truths ask in file order, a row keeps the first."""
    num_classes, floor = len(truth.classes), float(thresholds.min())
    keys = (detections.video_idx * num_classes + detections.label_idx)[order]
    groups = truth.by_video_and_label
    pairs = overlapping_pairs(truth, groups, detections, order, keys, floor, paired_hull_share)
    pairs = _by_preference(pairs, truth.start_s.size)
    is_first, is_wished = changes(pairs.truth), np.zeros(order.size, np.bool_)
    is_wished[pairs.row] = True
    first, asker, rows = np.flatnonzero(is_first), np.cumsum(is_first) - 1, np.flatnonzero(is_wished)
    askers, wishes = pairs.truth[first], (np.cumsum(is_wished) - 1)[pairs.row]
    choices_TG = np.stack(
        [np.bincount(asker[pairs.tiou > level], minlength=askers.size) for level in thresholds]
    )
    holder_TR = accept(choices_TG, first, wishes, rows.size).reshape(thresholds.size, rows.size)
    level, row = np.nonzero(holder_TR < askers.size)
    return Takes(thresholds.size, level, askers[holder_TR[level, row]], rows[row])


def _by_preference(pairs: Pairs, num_truths: int) -> Pairs:
    """Truth after truth, its most overlapped detection first; of equal ones the best-ranked first."""
    order = np.argsort(-pairs.tiou, kind="stable")
    truth = pairs.truth[order].astype(np.min_scalar_type(num_truths))  # short integers sort by radix
    order = order[np.argsort(truth, kind="stable")]
    return Pairs(pairs.row[order], pairs.truth[order], pairs.tiou[order])


def _class_precisions(truth: GroundTruth, begins: IntArray, takes: Takes, ambiguous: BoolArray) -> FloatArray:
    """(T, K) average precision; a class's rows start at `begins`.

    A take ranks behind the rows before it in its class, except those left out at its threshold: ambiguous,
    and taken by nobody.

    Args:
        truth: the truths.
        begins: (K,) the first row of each class.
        takes: of all thresholds.
        ambiguous: (N,) of each row.
    """
    num_thresholds, num_classes = takes.num_thresholds, begins.size
    label = truth.label_idx[takes.truth]
    lists = takes.level * num_classes + label
    order = np.lexsort((takes.row, lists))
    lists, label, row = lists[order], label[order], takes.row[order]
    left_out = _before(ambiguous)[row] - _before(ambiguous)[begins[label]]
    kept_after_all = _before(ambiguous[row])[:-1]
    kept_after_all -= kept_after_all[np.searchsorted(lists, lists)]
    positives = np.tile(truth.truths_per_class, num_thresholds)
    rank = row - begins[label] - left_out + kept_after_all
    return average_precisions(lists, rank, positives, interpolated=False).reshape(num_thresholds, num_classes)


def _before(flags: BoolArray) -> IntArray:
    """(N + 1,) how many of the flags before each place are set."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(flags)])
