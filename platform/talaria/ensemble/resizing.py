"""Bringing members of different sizes onto one grid by linear interpolation.

Letters: T snippets of the source, S snippets of the target, D durations (D = T), M map channels, R rows of
logits, K columns.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from talaria.prediction.raw import inside

Floats: TypeAlias = NDArray[np.float32]


def resize_curve(curve_T: Floats, size: int) -> Floats:
    """A boundary curve on another grid.

    Value t speaks of the instant t / T, as the decoder reads it, so that a boundary of the old grid that is
    also one of the new grid keeps its value; beyond the last snippet the last value holds.

    Args:
        curve_T: (T,) probabilities.
        size: S, length of the result.

    Returns:
        (S,).

    Source: 2020 winners' report (arXiv 2006.07520), section 2.2; to take the decoder's instants is ours.
    """
    if len(curve_T) == size:
        return curve_T
    position_S = np.arange(size) * (len(curve_T) / size)
    resized: Floats = np.interp(position_S, np.arange(len(curve_T)), curve_T).astype(np.float32)
    return resized


def resize_map(map_MDT: Floats, size: int) -> Floats:
    """A boundary-matching map on another grid, each value staying with its segment.

    Cell (d, t) is the segment [t / T, (t + d + 1) / T]. A new cell is bilinear in the start and end of its
    segment, over those of the four neighbours that are segments (their start precedes their end).

    Args:
        map_MDT: (M, T, T), zero where a segment leaves the video.
        size: S, side of the result.

    Returns:
        (M, S, S), zero where a segment leaves the video; a segment of the old grid that is also one of the
        new grid keeps its value.

    Source: 2020 winners' report (arXiv 2006.07520), section 2.2, which resizes the maps as pictures.
    """
    num_channels, num_snippets = map_MDT.shape[:2]
    if num_snippets == size:
        return map_MDT
    cell_N4, weight_N4 = _neighbours(num_snippets, size)
    resized = np.zeros((num_channels, size, size), np.float32)
    for channel in range(num_channels):
        resized[channel, inside(size)] = (map_MDT[channel].reshape(-1)[cell_N4] * weight_N4).sum(axis=1)
    return resized


def resize_rows(rows_RK: Floats, num_rows: int) -> Floats:
    """Class logits of clips on another number of clips: linear between their middles, level at both ends.

    Args:
        rows_RK: (R, K); row r speaks of [r / R, (r + 1) / R] of the video.
        num_rows: rows of the result.

    Returns:
        (num_rows, K).
    """
    count = len(rows_RK)
    if count == num_rows:
        return rows_RK
    place = np.clip((np.arange(num_rows) + 0.5) * (count / num_rows) - 0.5, 0.0, count - 1.0)
    below = place.astype(np.int64)
    share = (place - below).astype(np.float32)[:, None]
    above = np.minimum(below + 1, count - 1)
    resized: Floats = rows_RK[below] * (1 - share) + rows_RK[above] * share
    return resized


@lru_cache(maxsize=32)
def _neighbours(num_snippets: int, size: int) -> tuple[NDArray[np.int64], Floats]:
    """For every valid cell of the new map four flat cells of the old one and their weights, which sum to 1.

    The lower start with the higher end is always a segment and always has weight, so no cell is without one.
    """
    duration_N, begin_N = np.nonzero(inside(size))
    scale = num_snippets / size
    start_N, end_N = begin_N * scale, (begin_N + duration_N + 1) * scale
    low_start, low_end = np.floor(start_N + 1e-9), np.floor(end_N + 1e-9)
    start_share, end_share = np.maximum(start_N - low_start, 0.0), np.maximum(end_N - low_end, 0.0)
    cells, weights = [], []
    for start_step in (0, 1):
        for end_step in (0, 1):
            start, end = low_start + start_step, low_end + end_step
            weight = (start_share if start_step else 1 - start_share) * (
                end_share if end_step else 1 - end_share
            )
            valid = (start < end) & (end <= num_snippets)
            weights.append(np.where(valid, weight, 0.0))
            cells.append(np.where(valid, (end - start - 1) * num_snippets + start, 0))
    weight_N4 = np.stack(weights, axis=1)
    weight_N4 /= weight_N4.sum(axis=1, keepdims=True)
    return np.stack(cells, axis=1).astype(np.int64), weight_N4.astype(np.float32)
