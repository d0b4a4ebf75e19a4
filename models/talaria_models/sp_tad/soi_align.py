"""Segment-of-Interest features: a fixed number of places from each proposal segment, each from its own level.

Wu et al. 2021, section 3.1.3 and equation 1; aligned as by G-TAD (Xu et al. 2020, arXiv 1911.11462, section
3.3), which is RoI Align along time. All levels stand one after the other in one sequence, so that segments of
every level are read at once: the work grows with the number of proposals, whatever the length of the window.

Letters: B windows, C channels, T places of all levels together, P proposals, N aligned places, S points each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class FlatPyramid:
    """Levels of a pyramid, one after the other.

    Attributes:
        features_BTC: all levels, finest first.
        sizes: places of each level, their sum is T.
    """

    features_BTC: Tensor
    sizes: tuple[int, ...]


def flattened(levels_BCT: Sequence[Tensor]) -> FlatPyramid:
    """Levels (B, C, T_l), finest first, as one sequence."""
    features_BTC = torch.cat([level.transpose(1, 2) for level in levels_BCT], dim=1)
    return FlatPyramid(features_BTC, tuple(level.shape[2] for level in levels_BCT))


def level_of(length: Tensor, num_levels: int) -> Tensor:
    """Level that a segment is read from: the floor of l0 + log2(length), l0 the highest level (equation 1).

    Args:
        length: fractions of the window, any shape.
        num_levels: l0 + 1.

    Returns:
        int64 of the same shape in [0, l0]: segments of the whole window and longer ones take the coarsest
        level, those of 2 ** (1 - l0) and below the finest or the second.
    """
    # Counting the bounds that a length reaches needs no logarithm, whose rounding would move whole levels.
    shares = [2.0 ** (level - num_levels + 1) for level in range(1, num_levels)]
    return torch.bucketize(length.contiguous(), length.new_tensor(shares), right=True)


def expanded(segments: Tensor, expansion: float) -> Tensor:
    """Segments (..., 2) with their length over eta more on either side."""
    start, end = segments.unbind(dim=-1)
    margin = (end - start) / expansion
    return torch.stack([start - margin, end + margin], dim=-1)


def soi_align(
    pyramid: FlatPyramid,
    segments_BP2: Tensor,
    *,
    expansion: float,
    num_bins: int,
    num_samples_per_bin: int,
) -> Tensor:
    """Averages of linearly interpolated features in N equal parts of each expanded segment.

    Args:
        pyramid: the levels.
        segments_BP2: start <= end as fractions of the window, at least float32; no gradient reaches them.
        expansion: eta.
        num_bins, num_samples_per_bin: N and S.

    Returns:
        (B, P, N, C) in the features' type. Points up to one place beyond the first and the last centre of a
        level take the nearest feature, points farther out are zero.
    """
    features_BTC, segments_BP2 = pyramid.features_BTC, segments_BP2.detach()
    batch, total, channels = features_BTC.shape
    level_BP = level_of(segments_BP2[..., 1] - segments_BP2[..., 0], len(pyramid.sizes))
    sizes_L = torch.tensor(pyramid.sizes, device=level_BP.device)
    first_BP11 = (sizes_L.cumsum(0) - sizes_L)[level_BP][..., None, None]
    size_BP11 = sizes_L[level_BP][..., None, None]
    share_BPNS = sample_shares(expanded(segments_BP2, expansion), num_bins, num_samples_per_bin)
    points_BPNS = share_BPNS * size_BP11 - 0.5
    inside_BPNS = (points_BPNS >= -1.0) & (points_BPNS <= size_BP11)
    points_BPNS = torch.minimum(points_BPNS.clamp_min(0.0), size_BP11 - 1.0)
    left_BPNS = points_BPNS.floor()
    right_share_BPNS = points_BPNS - left_BPNS
    weight_BPNS = inside_BPNS / num_samples_per_bin
    weights = torch.stack([weight_BPNS * (1.0 - right_share_BPNS), weight_BPNS * right_share_BPNS], dim=-1)
    left_BPNS = left_BPNS.long()
    index = torch.stack([left_BPNS, torch.minimum(left_BPNS + 1, size_BP11 - 1)], dim=-1)
    index = index + first_BP11[..., None]
    index = index + total * torch.arange(batch, device=index.device).view(-1, 1, 1, 1, 1)
    exact = torch.promote_types(features_BTC.dtype, torch.float32)
    bins = F.embedding_bag(
        index.flatten(0, 2).flatten(1),
        features_BTC.reshape(batch * total, channels).to(exact),
        per_sample_weights=weights.flatten(0, 2).flatten(1).to(exact),
        mode="sum",
    )
    return bins.view(batch, segments_BP2.shape[1], num_bins, channels).to(features_BTC.dtype)


def sample_shares(segments_BP2: Tensor, num_bins: int, num_samples_per_bin: int) -> Tensor:
    """(B, P, N, S) points in the middles of N * S equal parts of each segment, in the segments' unit."""
    start_BP, end_BP = segments_BP2.unbind(dim=-1)
    num_points = num_bins * num_samples_per_bin
    step = torch.arange(num_points, device=start_BP.device, dtype=start_BP.dtype)
    share_NS = ((step + 0.5) / num_points).view(num_bins, num_samples_per_bin)
    return start_BP[..., None, None] + share_NS * (end_BP - start_BP)[..., None, None]
