"""Average precision after taking detections or truths away, plain or normalised as DETAD does it.

Normalised precision asks what the precision would be if every class had the same number of truths N:
R N / (R N + F) with R the recall and F the false positives so far. That makes classes, and buckets of truths
of unlike size, comparable. A false positive then counts (truths of the class) / N times; with a weight of 1
it is the plain precision. Source: Alwassel et al. 2018 (arXiv 1807.10706) and its code, after Hoiem et al.,
"Diagnosing Error in Object Detectors", ECCV 2012.

Letters: T thresholds, K classes, N detections, G truths, H hits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from talaria.evaluation.arrays import BoolArray, Detections, FloatArray, GroundTruth, IntArray, check_range
from talaria.evaluation.detection import check_truth, checked_thresholds
from talaria.evaluation.matching import match
from talaria.evaluation.ranking import ranked_by_class


@dataclass(frozen=True, eq=False)
class Judged:
    """Detections in rank order and the truths they take: matched once, scored many times.

    Attributes:
        truth: G truths.
        detections: N detections in file order.
        thresholds: (T,) in (0, 1].
        order: (N,) detection number of each row, from `ranked_by_class`.
        begins: (K,) first row of each class.
        taker_TG: (T, G) row that takes each truth; N where none does.
    """

    truth: GroundTruth
    detections: Detections
    thresholds: FloatArray
    order: IntArray
    begins: IntArray
    taker_TG: IntArray

    @classmethod
    def of(cls, truth: GroundTruth, detections: Detections, tiou_thresholds: FloatArray) -> Judged:
        """Match the detections with the truths; errors as for `detection_map`."""
        thresholds = checked_thresholds(tiou_thresholds)
        check_truth(truth)
        check_range("label_idx", detections.label_idx, len(truth.classes))
        order, begins = ranked_by_class(detections.score, detections.label_idx, len(truth.classes))
        taker_TG = match(truth, detections, order, thresholds)
        return cls(truth, detections, thresholds, order, begins, taker_TG)

    @cached_property
    def ranks(self) -> IntArray:
        """(N,) rank of each row in the list of its class, from 0."""
        ranks: IntArray = np.arange(self.order.size) - self.begins[self.detections.label_idx[self.order]]
        return ranks

    @cached_property
    def mean_truths(self) -> float:
        """N of the normalised precision: truths per class, over the classes that have any.

        The code of DETAD divides whole numbers in Python 2 and so rounds it down; here it is exact.
        """
        return self.truth.label_idx.size / int((self.truth.truths_per_class > 0).sum())


def precisions_without(
    judged: Judged, gone_TN: BoolArray, keep_G: BoolArray | None = None, *, normalised: bool
) -> FloatArray:
    """Average precision of every class once some rows are gone.

    Args:
        judged: who takes whom; that is not decided anew, so a truth whose row is gone is missed.
        gone_TN: (T, N) rows to leave out, or (1, N) for all thresholds.
        keep_G: (G,) the truths that count; None for all. The rows of the others should be gone, or they are
            false positives.
        normalised: whether precision is normalised.

    Returns:
        (T, K) in [0, 1]; NaN for classes without truths that count.
    """
    kept = np.ones(judged.truth.label_idx.size, np.bool_) if keep_G is None else keep_G
    num_classes = len(judged.truth.classes)
    positives = np.bincount(judged.truth.label_idx[kept], minlength=num_classes)
    weight_K = positives / judged.mean_truths if normalised else np.ones(num_classes)
    gone_of_level = np.broadcast_to(gone_TN, (judged.thresholds.size, judged.order.size))
    return np.stack(
        [
            _areas(*_hits(judged, level, gone_N, kept, weight_K)[1:], positives)
            for level, gone_N in enumerate(gone_of_level)
        ]
    )


def precision_when_taken(judged: Judged) -> FloatArray:
    """(T, G) normalised precision at the rank that takes each truth; NaN where none does."""
    precision_TG = np.full(judged.taker_TG.shape, np.nan)
    nothing, everything = np.zeros(judged.order.size, np.bool_), np.ones(judged.taker_TG.shape[1], np.bool_)
    weight_K = judged.truth.truths_per_class / judged.mean_truths
    for level, precision_G in enumerate(precision_TG):
        taken, _, precision_H = _hits(judged, level, nothing, everything, weight_K)
        precision_G[taken] = precision_H
    return precision_TG


def class_mean(ap_TK: FloatArray) -> FloatArray:
    """(T,) mean over the classes that have truths; NaN if none has."""
    known = ~np.isnan(ap_TK[0])
    if not known.any():
        return np.full(len(ap_TK), np.nan)
    means: FloatArray = ap_TK[:, known].mean(axis=1)
    return means


def _hits(
    judged: Judged, level: int, gone_N: BoolArray, kept_G: BoolArray, weight_K: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Truth, label and precision of each hit at one threshold, by class and in it by rank."""
    taker_G, label_G = judged.taker_TG[level], judged.truth.label_idx
    number = np.flatnonzero(kept_G & ~np.append(gone_N, True)[taker_G])  # nobody takes: as good as gone
    number = number[np.lexsort((taker_G[number], label_G[number]))]
    row, label = taker_G[number], label_G[number]
    gone_before = np.append(0, np.cumsum(gone_N))
    first = judged.begins[label]
    seen = row + 1 - first - (gone_before[row] - gone_before[first])
    starts = np.searchsorted(label, np.arange(weight_K.size))
    hits = np.arange(1, label.size + 1) - starts[label]
    return number, label, hits / (hits + (seen - hits) * weight_K[label])


def _areas(label_H: IntArray, precision_H: FloatArray, positives: IntArray) -> FloatArray:
    """(K,) area under the interpolated curve: between hits it only falls, so the hits alone decide."""
    best_H = precision_H.copy()
    for low, high in pairwise(np.searchsorted(label_H, np.arange(positives.size + 1)).tolist()):
        best_H[low:high] = np.maximum.accumulate(best_H[low:high][::-1])[::-1]
    area = np.bincount(label_H, weights=best_H, minlength=positives.size)
    with np.errstate(invalid="ignore"):
        averages: FloatArray = np.where(positives > 0, area, np.nan) / positives
    return averages
