"""Which truth each detection takes, for every tIoU threshold at once.

The official code walks through the detections in rank order and lets each take its best truth that is still
free. That is a stable matching in which all truths rank the detections alike, so the rounds of deferred
acceptance reach the same result (Gale and Shapley, 1962): everyone asks for its best truth, a truth keeps the
best-ranked asker, the others go on to their next truth. A few rounds over arrays replace a loop over
detections.

Letters: N detections, G truths, T thresholds, Q pairs of a detection and a truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from talaria.evaluation.arrays import BoolArray, Detections, FloatArray, GroundTruth, Groups, IntArray, Spans
from talaria.evaluation.tiou import paired_tiou

Measure: TypeAlias = Callable[[FloatArray, FloatArray, FloatArray, FloatArray], FloatArray]

_BLOCK = 1 << 15
"""Pairs compared at a time: their work arrays stay in the processor's cache, whatever the input's size."""


@dataclass(frozen=True)
class Pairs:
    """Detections with the truths of their group that they overlap enough.

    Attributes:
        row: (Q,) position in the list of detections that was asked for, ascending.
        truth: (Q,) truth number; in file order within a row.
        tiou: (Q,) at or above the floor; NaN for 0/0.
    """

    row: IntArray
    truth: IntArray
    tiou: FloatArray


def overlapping_pairs(
    truth: GroundTruth | Spans,
    groups: Groups,
    detections: Detections,
    order: IntArray,
    row_keys: IntArray,
    floor: float,
    measure: Measure = paired_tiou,
) -> Pairs:
    """Every (detection, truth) of one group whose tIoU is at least `floor` or 0/0.

    Args:
        truth: the truths or spans that `groups` groups.
        groups: truths by key.
        detections: all detections.
        order: (N,) the rows: numbers of detections, in the order in which `Pairs.row` counts them.
        row_keys: (N,) the key of each row.
        floor: least tIoU, above 0.
        measure: what stands for the tIoU, from starts and ends and those of the partners.
    """
    group, known = groups.find(row_keys)
    rows = np.flatnonzero(known)
    counts = groups.sizes[group[rows]]
    ends = np.cumsum(counts)
    begins = ends - counts
    ahead = groups.first[group[rows]] - begins  # from a pair's number to its place in the groups' order
    starts, stops = detections.start_s[order[rows]], detections.end_s[order[rows]]
    found = [Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    low = 0
    while low < rows.size:
        high = max(int(np.searchsorted(ends, begins[low] + _BLOCK, "right")), low + 1)
        nth = np.repeat(np.arange(low, high), counts[low:high])
        owner = groups.order[np.arange(begins[low], ends[high - 1]) + ahead[nth]]
        shares = measure(starts[nth], stops[nth], truth.start_s[owner], truth.end_s[owner])
        keep = np.flatnonzero(~(shares < floor))
        found.append(Pairs(rows[nth[keep]], owner[keep], shares[keep]))
        low = high
    return Pairs(
        *(np.concatenate([getattr(part, name) for part in found]) for name in ("row", "truth", "tiou"))
    )


def match(truth: GroundTruth, detections: Detections, order: IntArray, thresholds: FloatArray) -> IntArray:
    """The row that takes each truth, at each threshold.

    Args:
        truth: G truths.
        detections: N detections; those of unknown videos take nothing.
        order: (N,) from `ranked_by_class`: a row is a position in it, the smaller of two goes first.
        thresholds: (T,) in (0, 1].

    Returns:
        (T, G) rows; N where nobody takes the truth.
    """
    num_rows, num_truths, num_classes = order.size, truth.start_s.size, len(truth.classes)
    row_keys = (detections.video_idx * num_classes + detections.label_idx)[order]
    groups, floor = truth.by_video_and_label, float(thresholds.min())
    pairs = _by_preference(overlapping_pairs(truth, groups, detections, order, row_keys, floor))
    is_first = changes(pairs.row)
    first, askers = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    rows = pairs.row[first]
    choices_TN = np.stack(
        [np.bincount(askers[pairs.tiou >= threshold], minlength=rows.size) for threshold in thresholds]
    )
    taken = accept(choices_TN, first, pairs.truth, num_truths)
    return np.append(rows, num_rows)[taken].reshape(thresholds.size, num_truths)


def _by_preference(pairs: Pairs) -> Pairs:
    """Within a row the best truth first; 0/0 before all others; the later of equal ones first."""
    worth = np.where(np.isnan(pairs.tiou), np.inf, pairs.tiou)
    truth, is_first = pairs.truth.copy(), changes(pairs.row)
    mixed = np.flatnonzero(~(is_first & np.append(is_first[1:], True)))  # in rows of several pairs
    order = mixed[np.lexsort((-truth[mixed], -worth[mixed], pairs.row[mixed]))]
    truth[mixed], worth[mixed] = truth[order], worth[order]
    return Pairs(pairs.row, truth, worth)


def changes(rows: IntArray) -> BoolArray:
    """(Q,) whether each row differs from the one before."""
    return np.append(True, rows[1:] != rows[:-1])[: rows.size]


def accept(choices_TN: IntArray, first: IntArray, wishes: IntArray, num_wished: int) -> IntArray:
    """Deferred acceptance at all thresholds at once; of two askers the one with the smaller number wins.

    Args:
        choices_TN: how many of its wishes each asker may voice at each threshold.
        first: (N,) where each asker's wishes begin.
        wishes: (Q,) numbers below `num_wished`, best first.
        num_wished: how many there are to be had: W.

    Returns:
        (T * W,) the asker that holds each; N where none does.
    """
    num_thresholds, nobody = choices_TN.shape
    holder_TW = np.full((num_thresholds, num_wished), nobody, np.int64)
    choices, holder = choices_TN.ravel(), holder_TW.ravel()
    asking = _after_first_round(choices_TN, wishes[first], holder_TW)
    best, refused = np.empty_like(holder), np.zeros(choices.size, np.int64)
    refused[asking] = 1
    while asking.size:
        level = asking // nobody  # by a scalar: vectorised, where divmod is not
        asker = asking - level * nobody
        wished = level * num_wished + wishes[first[asker] + refused[asking]]
        best[wished[::-1]] = asker[::-1]  # of equal indices the last is stored: the best-ranked asker
        wins = (best[wished] == asker) & (asker < holder[wished])
        ousted = holder[wished[wins]]
        losers = np.concatenate([asking[~wins], (level[wins] * nobody + ousted)[ousted < nobody]])
        holder[wished[wins]] = asker[wins]
        refused[losers] += 1
        asking = np.sort(losers[refused[losers] < choices[losers]])
    return holder


def _after_first_round(choices_TN: IntArray, favourite_N: IntArray, holder_TW: IntArray) -> IntArray:
    """Let all voice their first wish, and write who is accepted; returns who is refused and has another.

    Nearly all the work of `accept` is here: one threshold at a time needs fewer passes over the data.
    """
    asking = [np.zeros(0, np.int64)]
    for level, (choices_N, holder_W) in enumerate(zip(choices_TN, holder_TW, strict=True)):
        asker = np.flatnonzero(choices_N)
        wished = favourite_N[asker]
        holder_W[wished[::-1]] = asker[::-1]  # of equal indices the last is stored: the best-ranked asker
        refused = asker[holder_W[wished] != asker]
        asking.append(level * choices_N.size + refused[choices_N[refused] > 1])
    return np.concatenate(asking)
