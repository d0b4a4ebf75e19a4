"""NMS and Soft-NMS of many videos at once.

All three functions take candidates in one of two forms and return the chosen ones of every list, best first:

- padded: `segments` (V, P, 2) and `scores` (V, P), one list per row, -inf scores where there is no candidate;
- flat: `segments` (N, 2), `scores` (N,) and `group_idx` (N,), one list per distinct group; without
  `group_idx` all are one list. For class-wise suppression the group is `video_idx * K + label_idx`.

Between equal current scores the candidate that comes first in the input is chosen. Two empty segments
(tIoU 0/0) leave each other alone. Letters: V videos, P candidates, N candidates of all lists, M chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from talaria.evaluation.arrays import FloatArray, Groups, IntArray
from talaria.evaluation.greedy import Decay, Lists, choose


@dataclass(frozen=True)
class Kept:
    """The chosen candidates: group after group in ascending order, in each in the order of choice.

    Attributes:
        index: (M,) numbers of the candidates; in the padded form `row * P + column`.
        group_idx: (M,) the group of each; in the padded form the row.
        score: (M,) score when chosen, never rising within a group.
    """

    index: IntArray
    group_idx: IntArray
    score: FloatArray


def soft_nms(
    segments: FloatArray,
    scores: FloatArray,
    group_idx: IntArray | None = None,
    *,
    low: float,
    high: float,
    alpha: float,
    top: int | None = 100,
    duration: FloatArray | float = 1.0,
    power: float = 2.0,
    min_score: float = 0.0,
    length_offset: float = 0.0,
) -> Kept:
    """Soft-NMS with Gaussian decay above a limit that grows with the chosen segment's width.

    A chosen segment multiplies the score of every other candidate with tIoU > low + (high - low) * width_frac
    by exp(-tIoU ** power / alpha). Plain Gaussian Soft-NMS is `low=0, high=0` with alpha its sigma.

    Args:
        segments: starts and ends in any one unit, see the module.
        scores: finite, at or above 0.
        group_idx: list of each candidate, for the flat form.
        low: limit for a segment of no width, in [0, 1].
        high: limit for a segment as wide as the video, at or above 0; nothing decays where it passes 1.
        alpha: spread of the decay, above 0.
        top: how many to keep of each list; None for all.
        duration: length of the video in the unit of the segments; a number, or one per row (V,) in the padded
            form and one per candidate (N,) in the flat form. 1 for fractions.
        power: 2 in the BMN code, 2.5 in the TCANet code.
        min_score: a list ends at the first score below it.
        length_offset: added to all lengths before the tIoU; OpenTAD adds 1e-6.

    Raises:
        ValueError: if a shape, score, segment or setting is not as above.

    Source: Bodla et al. 2017 (arXiv 1704.04503); the limit as in JJBOY/BMN, `post_processing.soft_nms`.
    Unlike that code the last candidate of a short list is kept.
    """
    if not (alpha > 0 and power > 0):
        raise ValueError(f"alpha is {alpha} and power {power}, expected values above 0")
    if not (0 <= low <= 1 and 0 <= high < np.inf):
        raise ValueError(f"low is {low} and high {high}, expected low in [0, 1] and high at or above 0")
    decay = Decay(
        low, high - low, False, lambda tiou: np.exp(-(tiou**power) / alpha), min_score, length_offset
    )
    return _kept(segments, scores, group_idx, decay, top, duration)


def linear_nms(
    segments: FloatArray,
    scores: FloatArray,
    group_idx: IntArray | None = None,
    *,
    threshold: float,
    top: int | None = 100,
    min_score: float = 0.0,
    length_offset: float = 0.0,
) -> Kept:
    """Soft-NMS with linear decay: candidates with tIoU >= threshold lose that share of their score.

    Arguments and errors as for `soft_nms`. Source: Bodla et al. 2017 (arXiv 1704.04503), section 3.
    """
    _check_threshold(threshold)
    decay = Decay(threshold, 0.0, True, lambda tiou: 1.0 - tiou, min_score, length_offset)
    return _kept(segments, scores, group_idx, decay, top, 1.0)


def hard_nms(
    segments: FloatArray,
    scores: FloatArray,
    group_idx: IntArray | None = None,
    *,
    threshold: float,
    top: int | None = 100,
    min_score: float = 0.0,
    length_offset: float = 0.0,
) -> Kept:
    """Greedy NMS: candidates with tIoU >= threshold with a chosen one are dropped; scores stay.

    Arguments and errors as for `soft_nms`.
    """
    _check_threshold(threshold)
    decay = Decay(threshold, 0.0, True, None, min_score, length_offset)
    return _kept(segments, scores, group_idx, decay, top, 1.0)


def _kept(
    segments: FloatArray,
    scores: FloatArray,
    group_idx: IntArray | None,
    decay: Decay,
    top: int | None,
    duration: FloatArray | float,
) -> Kept:
    """Bring either form into padded lists, choose, and put the groups in order."""
    if top is not None and top < 1:
        raise ValueError(f"top is {top}, expected 1 or more, or None for all")
    lists = _checked(np.asarray(segments, np.float64), np.asarray(scores, np.float64), duration)
    if lists.score.ndim == 2:
        if group_idx is not None:
            raise ValueError("group_idx is for the flat form; in the padded form the rows are the groups")
        index = np.arange(lists.score.size).reshape(lists.score.shape)
        return _chosen(lists, index, np.arange(len(index)), decay, top)
    key = np.zeros(lists.score.size, np.int64) if group_idx is None else np.asarray(group_idx, np.int64)
    if key.shape != lists.score.shape:
        raise ValueError(f"group_idx has shape {key.shape}, expected {lists.score.shape}")
    return _joined([_chosen(*padded, decay, top) for padded in _padded(lists, Groups.of(key))])


def _checked(segments: FloatArray, scores: FloatArray, duration: FloatArray | float) -> Lists:
    """The input as columns, if it is what `soft_nms` asks for."""
    if scores.ndim not in (1, 2) or segments.shape != (*scores.shape, 2):
        raise ValueError(
            f"segments {segments.shape} with scores {scores.shape}, "
            "expected (V, P, 2) with (V, P) or (N, 2) with (N,)"
        )
    present = scores != -np.inf
    if not (np.isfinite(scores) & (scores >= 0))[present].all():
        raise ValueError(
            "scores hold NaN, infinity or a negative number, expected finite values at or above 0"
        )
    start, end = segments[..., 0], segments[..., 1]
    with np.errstate(invalid="ignore"):
        length = end - start
    if not (np.isfinite(length) & (length >= 0))[present].all():
        raise ValueError("segments hold a value that is not finite, or an end that precedes its start")
    durations = np.asarray(duration, np.float64)
    if not (np.isfinite(durations) & (durations > 0)).all():
        raise ValueError("duration holds a value that is not above 0")
    return Lists(
        start, end, length / (durations[:, None] if durations.ndim == 1 < scores.ndim else durations), scores
    )


def _padded(flat: Lists, groups: Groups) -> Iterator[tuple[Lists, IntArray, IntArray]]:
    """Groups of about one size at a time, padded to the longest: lists, candidate numbers, group keys."""
    magnitude = np.frexp(groups.sizes.astype(np.float64))[1]
    for value in np.unique(magnitude):
        members = np.flatnonzero(magnitude == value)
        place = np.arange(groups.sizes[members].max())
        slots = np.minimum(groups.first[members][:, None] + place, groups.order.size - 1)
        index = groups.order[slots]
        score = np.where(place < groups.sizes[members][:, None], flat.score[index], -np.inf)
        lists = Lists(flat.start[index], flat.end[index], flat.width_frac[index], score)
        yield lists, index, groups.keys[members]


def _chosen(lists: Lists, index: IntArray, keys: IntArray, decay: Decay, top: int | None) -> Kept:
    """Choose from padded lists, given the number of every candidate and the key of every list."""
    num_candidates = lists.score.shape[1]
    columns, scores = choose(lists, decay, num_candidates if top is None else min(top, num_candidates))
    row, rank = np.nonzero(columns >= 0)
    return Kept(index[row, columns[row, rank]], keys[row], scores[row, rank])


def _joined(parts: list[Kept]) -> Kept:
    """One result, its groups in ascending order."""
    nothing = Kept(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    index, keys, scores = (
        np.concatenate([getattr(part, name) for part in [nothing, *parts]])
        for name in ("index", "group_idx", "score")
    )
    order = np.argsort(keys, kind="stable")
    return Kept(index[order], keys[order], scores[order])


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}, expected a tIoU in (0, 1]")
