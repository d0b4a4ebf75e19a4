"""Where boundary matching samples, as a sparse matrix, and the two published layouts of its maps.

Lin et al., BMN: Boundary-Matching Network for Temporal Action Proposal Generation, 2019, arXiv 1907.09702,
"Boundary-Matching Mechanism"; the spans are those of the two public implementations.

Letters: T snippets, D durations (as many as snippets), N samples per candidate, I interpolated points, P
candidates inside the video, that is T * (T + 1) / 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

MapAxes = Literal["start_end", "duration_start"]


@dataclass(frozen=True)
class SamplingGrid:
    """Where the samples of each candidate lie.

    Attributes:
        num_snippets: T, the length of the grid and the longest duration.
        num_samples: N, bins per candidate.
        num_samples_per_bin: interpolated points whose mean is one sample.
        boundary_ratio: share of the candidate's length that is added on either side.
        axes: `start_end` spans [t, t + d + 1] and its maps have rows of starts and columns of last snippets
            (JJBOY/BMN-Boundary-Matching-Network); `duration_start` spans [t, t + d] and its maps have rows of
            durations and columns of starts (open-mmlab/mmaction2). Weights of one do not suit the other.
    """

    num_snippets: int
    num_samples: int
    num_samples_per_bin: int
    boundary_ratio: float
    axes: MapAxes


@dataclass(frozen=True)
class SparseSampling:
    """The sampling of a grid as a sparse (P, T * N) matrix, by rows and by columns.

    Candidates are ordered by duration, then start; column t * N + n is sample n's share of snippet t.

    Attributes:
        duration_P, start_P: duration row d and first snippet t of each candidate.
        cell_P: its place in the flattened map of the grid's axes.
        row_ptr, column, weight: compressed rows of the matrix.
        column_ptr, row, weight_by_column: compressed rows of its transpose.
    """

    duration_P: npt.NDArray[np.int64]
    start_P: npt.NDArray[np.int64]
    cell_P: npt.NDArray[np.int64]
    row_ptr: npt.NDArray[np.int32]
    column: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    column_ptr: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    weight_by_column: npt.NDArray[np.float32]


def convert_axes(maps: Tensor, source: MapAxes, target: MapAxes) -> Tensor:
    """Re-index maps between the two published layouts.

    Cells outside the video travel too: start t with t + d >= T sits at column (t + d) mod T, below the
    diagonal of the other layout, so that a round trip returns every cell.

    Args:
        maps: (..., T, T) in the axes of `source`.
        source, target: layouts as in `SamplingGrid.axes`.

    Returns:
        (..., T, T) in the axes of `target`.
    """
    if source == target:
        return maps
    size = maps.shape[-1]
    row = torch.arange(size, device=maps.device)[:, None]
    column = torch.arange(size, device=maps.device)[None, :]
    if target == "duration_start":
        return maps[..., column, (row + column) % size]
    return maps[..., (column - row) % size, row]


@lru_cache(maxsize=8)
def sparse_sampling(grid: SamplingGrid) -> SparseSampling:
    """The interpolation weights of every candidate of a grid, computed once per process and grid."""
    size, num_samples = grid.num_snippets, grid.num_samples
    inside_DT = np.add.outer(np.arange(size), np.arange(size)) < size
    duration_P, start_P = np.nonzero(inside_DT)
    row, column, weight = _interpolation(grid, duration_P, start_P)
    by_column = np.argsort(column, kind="stable")
    cell_P = duration_P * size + start_P
    if grid.axes == "start_end":
        cell_P = start_P * size + start_P + duration_P
    return SparseSampling(
        duration_P=duration_P,
        start_P=start_P,
        cell_P=cell_P,
        row_ptr=np.searchsorted(row, np.arange(len(cell_P) + 1)).astype(np.int32),
        column=column.astype(np.int32),
        weight=weight,
        column_ptr=np.searchsorted(column[by_column], np.arange(size * num_samples + 1)).astype(np.int32),
        row=row[by_column].astype(np.int32),
        weight_by_column=weight[by_column],
    )


def _interpolation(
    grid: SamplingGrid, duration_P: npt.NDArray[np.int64], start_P: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Row, column and weight of every non-zero, sorted by row, then column; equal places summed."""
    size, num_samples = grid.num_snippets, grid.num_samples
    span_P = duration_P + (1 if grid.axes == "start_end" else 0)
    margin_P = (span_P + 1) * grid.boundary_ratio
    num_points = num_samples * grid.num_samples_per_bin
    step_P = (span_P + 2 * margin_P) / (num_points - 1.0)
    position_PI = (start_P - margin_P)[:, None] + step_P[:, None] * np.arange(num_points)
    # Truncation, not floor, is what both published layers do: a point in (-1, 0) takes snippet 0 in full,
    # while beyond T - 1 it fades to zero.
    lower_PI = np.trunc(position_PI)
    fraction_PI = position_PI - lower_PI
    snippet = np.stack([lower_PI, np.ceil(position_PI)]).astype(np.int64)
    share = np.stack([1.0 - fraction_PI, fraction_PI]) / grid.num_samples_per_bin
    sample = np.arange(num_points) // grid.num_samples_per_bin
    place = (np.arange(len(start_P))[:, None] * size + snippet) * num_samples + sample
    kept = (snippet >= 0) & (snippet < size) & (share != 0.0)
    place, inverse = np.unique(place[kept], return_inverse=True)
    weight = np.bincount(inverse, weights=share[kept], minlength=len(place)).astype(np.float32)
    row, column = np.divmod(place, size * num_samples)
    return row, column, weight
