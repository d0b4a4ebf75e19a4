"""What kind of mistake each false positive is, and what mAP each kind costs.

The kinds and their order are those of DETAD (Alwassel et al., "Diagnosing Error in Temporal Action
Detectors", ECCV 2018, arXiv 1807.10706): a detection that takes no truth is judged by the one truth of its
video, of any label, that it overlaps most (of equal ones the first in the file). Let alpha be the threshold:

| overlap with that truth | same label       | other label |
|-------------------------|------------------|-------------|
| alpha or more           | double detection | wrong label |
| 0.1 or more             | localisation     | confusion   |
| less, or no truth       | background       | background  |

So a detection that also overlaps a truth of its own label is a wrong label if it overlaps a strange one more.

Letters: T thresholds, N detections, G truths, E kinds of error, S slices of the ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from talaria.evaluation.arrays import BoolArray, Detections, FloatArray, GroundTruth, IntArray
from talaria.evaluation.matching import overlapping_pairs
from talaria.evaluation.normalised import Judged, class_mean, precisions_without

TypeArray: TypeAlias = NDArray[np.int8]

BACKGROUND_TIOU = 0.1
"""Below it a detection has found nothing."""

NUM_SLICES = 10
"""The profile looks at the best 10 G detections of each class, G being its truths."""


class ErrorType(IntEnum):
    """What a detection is at one threshold; all but the first are false positives."""

    TRUE_POSITIVE = 0
    DOUBLE_DETECTION = 1
    WRONG_LABEL = 2
    LOCALISATION = 3
    CONFUSION = 4
    BACKGROUND = 5

    @property
    def key(self) -> str:
        """Its name in JSON."""
        return self.name.lower()

    @property
    def words(self) -> str:
        """Its name for a reader."""
        return self.key.replace("_", " ")


ERRORS = tuple(kind for kind in ErrorType if kind is not ErrorType.TRUE_POSITIVE)
"""The kinds of false positive, in the order of the axis E."""


@dataclass(frozen=True, eq=False)
class FalsePositives:
    """The mistakes among the detections, counted and weighed.

    Attributes:
        counts_TE: (T, 6) detections of each `ErrorType`, of all detections.
        profile_TSE: (T, 10, 6) the same of slice s: of each class with G truths the detections ranked from
            s G to (s + 1) G. Detections of classes without truths are in none.
        map_T: (T,) mAP of all detections, the official one.
        map_n_T: (T,) normalised mAP of the detections in the ten slices.
        gain_map_ET: (5, T) what `map_T` gains when the detections of each kind in ERRORS are gone.
        gain_map_n_ET: (5, T) what `map_n_T` gains: the number that DETAD reports, averaged over thresholds.
    """

    counts_TE: IntArray
    profile_TSE: IntArray
    map_T: FloatArray
    map_n_T: FloatArray
    gain_map_ET: FloatArray
    gain_map_n_ET: FloatArray

    def profile_shares(self) -> FloatArray:
        """(10, 6) share of each `ErrorType` in each slice, over all thresholds; NaN for an empty slice."""
        counts = self.profile_TSE.mean(axis=0)
        with np.errstate(invalid="ignore"):
            shares: FloatArray = counts / counts.sum(axis=1, keepdims=True)
        return shares


def error_types(truth: GroundTruth, detections: Detections, tiou_thresholds: FloatArray) -> TypeArray:
    """The `ErrorType` of every detection at every threshold, in file order.

    Two empty segments (tIoU 0/0) count as the best overlap there is, since they are a hit where mAP is
    concerned. Detections of unknown videos are background.

    Returns:
        (T, N).

    Raises:
        DataError: if there are no truths at all.
        ValueError: if a threshold is outside (0, 1] or a label outside the class list.
    """
    judged = Judged.of(truth, detections, tiou_thresholds)
    types_TN = np.empty((judged.thresholds.size, judged.order.size), np.int8)
    types_TN[:, judged.order] = _types_of_rows(judged)
    return types_TN


def analyse_false_positives(judged: Judged) -> FalsePositives:
    """Count the kinds of mistake and score the detections without each of them.

    The detections that are left keep the truths they took. Removing all five kinds leaves the recall.
    """
    types_TN = _types_of_rows(judged)
    slice_N = _slices(judged)
    beyond_1N = (slice_N >= NUM_SLICES)[None]
    map_T = class_mean(precisions_without(judged, np.zeros_like(beyond_1N), normalised=False))
    map_n_T = class_mean(precisions_without(judged, beyond_1N, normalised=True))
    gain, gain_n = [], []
    for kind in ERRORS:
        of_kind_TN = types_TN == kind
        gain.append(class_mean(precisions_without(judged, of_kind_TN, normalised=False)) - map_T)
        gain_n.append(
            class_mean(precisions_without(judged, of_kind_TN | beyond_1N, normalised=True)) - map_n_T
        )
    counts_TSE = np.stack([_counts(types_N, slice_N) for types_N in types_TN])
    return FalsePositives(
        counts_TSE.sum(axis=1), counts_TSE[:, :NUM_SLICES], map_T, map_n_T, np.stack(gain), np.stack(gain_n)
    )


def _types_of_rows(judged: Judged) -> TypeArray:
    """(T, N) `ErrorType` of each row."""
    best_N, same_label_N = _best_overlaps(judged)
    types_TN = np.empty((judged.thresholds.size, judged.order.size), np.int8)
    for types_N, taker_G, threshold in zip(types_TN, judged.taker_TG, judged.thresholds, strict=True):
        types_N[:] = ErrorType.BACKGROUND
        _mark(types_N, best_N >= BACKGROUND_TIOU, same_label_N, ErrorType.LOCALISATION, ErrorType.CONFUSION)
        _mark(types_N, best_N >= threshold, same_label_N, ErrorType.DOUBLE_DETECTION, ErrorType.WRONG_LABEL)
        types_N[taker_G[taker_G < judged.order.size]] = ErrorType.TRUE_POSITIVE
    return types_TN


def _mark(
    types_N: TypeArray, reached_N: BoolArray, same_label_N: BoolArray, same: ErrorType, other: ErrorType
) -> None:
    types_N[reached_N & same_label_N] = same
    types_N[reached_N & ~same_label_N] = other


def _best_overlaps(judged: Judged) -> tuple[FloatArray, BoolArray]:
    """(N,) tIoU of each row with the truth it overlaps most, and whether that has its label.

    The tIoU is infinite for 0/0, and 0 where it is too small to matter.
    """
    truth, found, order = judged.truth, judged.detections, judged.order
    floor = min(BACKGROUND_TIOU, float(judged.thresholds.min()))
    pairs = overlapping_pairs(truth, truth.by_video, found, order, found.video_idx[order], floor)
    worth = np.where(np.isnan(pairs.tiou), np.inf, pairs.tiou)
    rows, first, sizes = np.unique(pairs.row, return_index=True, return_counts=True)
    best_N, same_label_N = np.zeros(order.size), np.zeros(order.size, np.bool_)
    if rows.size:
        best = np.maximum.reduceat(worth, first)
        winners = np.flatnonzero(worth == np.repeat(best, sizes))
        winners = winners[np.unique(pairs.row[winners], return_index=True)[1]]
        best_N[rows] = best
        same_label_N[rows] = truth.label_idx[pairs.truth[winners]] == found.label_idx[order[rows]]
    return best_N, same_label_N


def _slices(judged: Judged) -> IntArray:
    """(N,) slice of each row; NUM_SLICES for those further down and for classes without truths."""
    truths_N = judged.truth.truths_per_class[judged.detections.label_idx[judged.order]]
    slices: IntArray = np.where(truths_N > 0, judged.ranks // np.maximum(truths_N, 1), NUM_SLICES)
    return np.minimum(slices, NUM_SLICES)


def _counts(types_N: TypeArray, slice_N: IntArray) -> IntArray:
    """(11, 6) rows by slice and type; the last slice is what the profile leaves out."""
    cells = slice_N * len(ErrorType) + types_N
    return np.bincount(cells, minlength=(NUM_SLICES + 1) * len(ErrorType)).reshape(NUM_SLICES + 1, -1)
