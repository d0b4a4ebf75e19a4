"""The greedy loop of all NMS variants, over many lists at once: it runs over ranks, not over videos.

Letters: R lists (one per video, or per video and class), P candidates of a list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from talaria.evaluation.arrays import FloatArray, IntArray

_AWAY = 1e300
"""Where chosen candidates and padding are moved to: their overlap with anything is then below 0."""

_BLOCK = 1 << 15
"""Cells handled at a time: the work arrays of one block stay in the processor's second-level cache."""


@dataclass(frozen=True)
class Decay:
    """How a chosen segment lowers the scores of those it overlaps.

    Attributes:
        base: tIoU from which it does, for a segment of no width.
        slope: how much higher that is for a segment as wide as the video.
        inclusive: whether a tIoU equal to the limit decays too.
        factor: from the tIoU (above 0) of those that decay to what multiplies their score; None takes them
            away.
        min_score: a list ends when its best remaining score is below this.
        length_offset: added to every length before the tIoU is taken.
    """

    base: float
    slope: float
    inclusive: bool
    factor: Callable[[FloatArray], FloatArray] | None
    min_score: float
    length_offset: float


@dataclass(frozen=True)
class Lists:
    """Candidate lists padded to one length; equal scores are chosen in column order.

    Attributes:
        start: (R, P) in any unit.
        end: (R, P) in the same unit.
        width_frac: (R, P) length as a fraction of the video's duration.
        score: (R, P) at or above 0; -inf where there is no candidate.
    """

    start: FloatArray
    end: FloatArray
    width_frac: FloatArray
    score: FloatArray

    def rows(self, low: int, high: int) -> Lists:
        """A copy of some lists, to be used up."""
        parts = (self.start, self.end, self.width_frac, self.score)
        return Lists(*(np.array(part[low:high], order="C") for part in parts))


def choose(lists: Lists, decay: Decay, num_chosen: int) -> tuple[IntArray, FloatArray]:
    """Choose the best candidate of every list, decay its neighbours, and repeat `num_chosen` times.

    Returns:
        (R, num_chosen) columns in the order of choice, -1 past the end of a list; and their scores when
        chosen.
    """
    num_lists, num_candidates = lists.score.shape
    columns = np.full((num_lists, num_chosen), -1, np.int64)
    scores = np.zeros((num_lists, num_chosen))
    step = max(1, _BLOCK // max(num_candidates, 1))
    for low in range(0, num_lists if num_candidates else 0, step):
        block = _Block(lists.rows(low, low + step), decay)
        block.fill(columns[low : low + step], scores[low : low + step])
    return columns, scores


class _Block:
    """Lists small enough for the cache, and the work arrays that every rank reuses."""

    def __init__(self, lists: Lists, decay: Decay) -> None:
        self.decay = decay
        self.start, self.end, self.score = lists.start, lists.end, lists.score
        self.length = self.end - self.start + decay.length_offset
        self.limit = np.maximum(decay.base + decay.slope * lists.width_frac, 0.0)
        self.start[self.score == -np.inf] = self.end[self.score == -np.inf] = _AWAY
        self.shares, self.union = np.empty_like(self.score), np.empty_like(self.score)
        self.reached = np.empty(self.score.shape, np.bool_)

    def fill(self, columns: IntArray, scores: FloatArray) -> None:
        """Write the choices of every rank, until no list has any left."""
        rows = np.arange(len(self.score))
        for rank in range(columns.shape[1]):
            best = self.score.argmax(axis=1)
            value = self.score[rows, best]
            alive = (value >= self.decay.min_score) & (value > -np.inf)
            if not alive.any():
                return
            columns[:, rank] = np.where(alive, best, -1)
            scores[:, rank] = np.where(alive, value, 0.0)
            self._lower_neighbours(rows, best)

    def _lower_neighbours(self, rows: IntArray, best: IntArray) -> None:
        """Take the chosen out of reach and apply their decay to all that is left."""
        first, last = self.start[rows, best][:, None], self.end[rows, best][:, None]
        self.score[rows, best], self.start[rows, best], self.end[rows, best] = -np.inf, _AWAY, _AWAY
        shares, union = self.shares, self.union
        np.subtract(
            np.minimum(self.end, last, out=shares), np.maximum(self.start, first, out=union), out=shares
        )
        np.subtract(self.length, shares, out=union)
        np.add(union, self.length[rows, best][:, None], out=union)
        with np.errstate(invalid="ignore"):  # 0/0 gives NaN, which reaches no limit
            np.divide(shares, union, out=shares)
        compare = np.greater_equal if self.decay.inclusive else np.greater
        compare(shares, self.limit[rows, best][:, None], out=self.reached)
        hit, flat = np.flatnonzero(self.reached), self.score.reshape(-1)
        if self.decay.factor is None:
            flat[hit] = -np.inf
        else:
            flat[hit] *= self.decay.factor(shares.reshape(-1)[hit])
