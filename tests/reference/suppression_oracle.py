"""Greedy suppression the slow and obvious way: one list, one candidate at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from reference.detection_oracle import tiou

Segment = tuple[float, float]


def greedy(
    segments: Sequence[Segment],
    scores: Sequence[float],
    factor: Callable[[Segment, float], float | None],
    top: int,
    min_score: float = 0.0,
) -> list[tuple[int, float]]:
    """Choose the best (the first of equal ones), lower the others, repeat.

    Args:
        segments: starts and ends.
        scores: one per segment.
        factor: from the chosen segment and another's tIoU with it to what multiplies its score; None drops
            it.
        top: how many to choose at most.
        min_score: where to stop.

    Returns:
        Numbers of the chosen segments with their scores when chosen.
    """
    left = dict(enumerate(scores))
    chosen: list[tuple[int, float]] = []
    while left and len(chosen) < top:
        best = max(left, key=lambda number: (left[number], -number))
        if left[best] < min_score:
            break
        chosen.append((best, left.pop(best)))
        for number in list(left):
            share = tiou(*segments[number], *segments[best])
            multiplier = 1.0 if math.isnan(share) else factor(segments[best], share)
            if multiplier is None:
                del left[number]
            else:
                left[number] *= multiplier
    return chosen


def soft_factor(
    low: float, high: float, alpha: float, power: float = 2.0, duration: float = 1.0
) -> Callable[[Segment, float], float | None]:
    """Gaussian decay above a limit that grows with the chosen segment's share of the video."""

    def factor(chosen: Segment, share: float) -> float:
        limit = low + (high - low) * ((chosen[1] - chosen[0]) / duration)
        # NumPy's own power and exp: another last digit would break ties otherwise.
        return float(np.exp(-(np.float64(share) ** power) / alpha)) if share > limit else 1.0

    return factor


def linear_factor(threshold: float) -> Callable[[Segment, float], float | None]:
    """A neighbour loses the share that overlaps."""
    return lambda _, share: 1.0 - share if share >= threshold else 1.0


def hard_factor(threshold: float) -> Callable[[Segment, float], float | None]:
    """A neighbour is dropped."""
    return lambda _, share: None if share >= threshold else 1.0
