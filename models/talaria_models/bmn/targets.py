"""What BMN learns from the true segments of a video.

Lin et al. 2019, arXiv 1907.09702, "Training of BMN", as both published implementations compute it.

Letters: N true segments, T snippets, D durations.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from talaria_models.bmn.config import BMNConfig
from talaria_models.segments import ioa, tiou

BOUNDARY_WIDTH = 3.0
"""Width of the window around a true boundary, in snippets."""
BIN_EDGES = {"jjboy": (-0.5, 0.5), "mmaction2": (-0.5, 1.5)}
"""Edges of snippet t's bin relative to t: mmaction2's bins are two snippets wide and overlap."""


def build_targets(
    segments_frac: npt.NDArray[np.floating] | Tensor, config: BMNConfig, num_valid: int | None = None
) -> dict[str, Tensor]:
    """Label startness, endness and the tIoU of every candidate.

    Args:
        segments_frac: (N, 2) true segments as fractions of the video, clipped to [0, 1]; N may be 0.
        config: gives the grid and the convention.
        num_valid: snippets that the video fills, from 1 to num_snippets; None for all of them.

    Returns:
        `start`, `end` (T,) overlap of each snippet's bin with the nearest boundary's window over the bin's
        width; `iou` (D, T) best tIoU of segment [t, t + d + 1), zero outside the video; `valid` (T,) bool.

    Raises:
        ValueError: a segment that is not finite or ends before it starts, or num_valid out of range.
    """
    size = config.num_snippets
    length = size if num_valid is None else num_valid
    if not 1 <= length <= size:
        raise ValueError(f"num_valid: found {length}, expected 1 to num_snippets = {size}")
    segments_idx = checked(segments_frac).clamp(0.0, 1.0) * length
    snippet_T = torch.arange(size, dtype=torch.float64)
    ends_inside_DT = snippet_T[:, None] + snippet_T[None, :] < length
    valid_T = snippet_T < length
    return {
        "start": (boundary_scores(segments_idx[:, 0], config) * valid_T).float(),
        "end": (boundary_scores(segments_idx[:, 1], config) * valid_T).float(),
        "iou": (iou_map(segments_idx, size) * ends_inside_DT).float(),
        "valid": valid_T,
    }


def checked(segments: npt.NDArray[np.floating] | Tensor) -> Tensor:
    """(N, 2) float64 segments, all finite and none reversed; otherwise ValueError."""
    segments_N2 = torch.as_tensor(segments, dtype=torch.float64).reshape(-1, 2)
    wrong = ~torch.isfinite(segments_N2).all(dim=1) | (segments_N2[:, 1] < segments_N2[:, 0])
    if wrong.any():
        raise ValueError(
            f"segments_frac: found {segments_N2[wrong][0].tolist()}, expected start <= end, both finite"
        )
    return segments_N2


def boundary_scores(boundary_N: Tensor, config: BMNConfig) -> Tensor:
    """Overlap of every snippet's bin with the best boundary window, (T,) in [0, 1]; 0 without boundaries."""
    snippet_T = torch.arange(config.num_snippets, dtype=boundary_N.dtype)
    lower, upper = BIN_EDGES[config.convention]
    bins_T2 = torch.stack([snippet_T + lower, snippet_T + upper], dim=1)
    windows_N2 = torch.stack([boundary_N - BOUNDARY_WIDTH / 2, boundary_N + BOUNDARY_WIDTH / 2], dim=1)
    return _best(ioa(bins_T2, windows_N2))


def iou_map(segments_idx: Tensor, size: int) -> Tensor:
    """Best tIoU of segment [t, t + d + 1) for all (D, T), those beyond the end included; in snippets."""
    snippet_T = torch.arange(size, dtype=segments_idx.dtype)
    start_DT = snippet_T[None, :].expand(size, size)
    end_DT = start_DT + snippet_T[:, None] + 1.0
    candidates_Q2 = torch.stack([start_DT, end_DT], dim=-1).reshape(-1, 2)
    return _best(tiou(candidates_Q2, segments_idx)).reshape(size, size)


def _best(overlap_PG: Tensor) -> Tensor:
    """Maximum over truths; 0 where there is none."""
    return torch.cat([overlap_PG, overlap_PG.new_zeros(len(overlap_PG), 1)], dim=1).amax(dim=1)
