"""Boundary-matching sampling the slow way: one candidate, one point at a time, into a dense mask.

Follows the published constructions step by step; used as the oracle of the sparse layer.
"""

from __future__ import annotations

import math

import numpy as np

from talaria_models.layers.candidate_sampling import SamplingGrid


def dense_mask(grid: SamplingGrid) -> np.ndarray:
    """(T, N, X, Y) float32 interpolation weights, X and Y in the axes of the grid."""
    size = grid.num_snippets
    mask = np.zeros((size, grid.num_samples, size, size), dtype=np.float32)
    for start in range(size):
        for duration in range(size - start):
            if grid.axes == "start_end":
                first, last, cell = start, start + duration + 1, (start, start + duration)
            else:
                first, last, cell = start, start + duration, (duration, start)
            margin = (last - first + 1.0) * grid.boundary_ratio
            mask[:, :, *cell] = candidate_mask(first - margin, last + margin, grid)
    return mask


def candidate_mask(begin: float, end: float, grid: SamplingGrid) -> np.ndarray:
    """(T, N) weights of one candidate whose points run from `begin` to `end`, both included."""
    num_points = grid.num_samples * grid.num_samples_per_bin
    step = (end - begin) / (num_points - 1.0)
    mask = np.zeros((grid.num_snippets, grid.num_samples))
    for point in range(num_points):
        position = begin + step * point
        fraction, lower = math.modf(position)
        sample = point // grid.num_samples_per_bin
        for snippet, share in ((int(lower), 1.0 - fraction), (math.ceil(position), fraction)):
            if 0 <= snippet < grid.num_snippets:
                mask[snippet, sample] += share
    return mask / grid.num_samples_per_bin
