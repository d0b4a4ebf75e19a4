"""RoI Align along time: a fixed number of bins from a segment of any length.

He, Gkioxari, Dollar, Girshick: Mask R-CNN, 2017, arXiv 1703.06870, section 3, in one dimension. Features
stand at the centres of their snippets: snippet t at t + 0.5.

Pooling is linear in the features: each bin is a weighted sum of snippets. That sum is taken directly
(`embedding_bag`), so the interpolated points are never held, forward or backward.

Letters: B batch, C channels, T snippets, P proposals, N bins, S points per bin.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def roi_align(
    features_BTC: Tensor,
    length_B: Tensor,
    segments_BP2: Tensor,
    *,
    num_bins: int,
    num_samples_per_bin: int,
    context_ratio: float,
) -> Tensor:
    """Average of linearly interpolated features in each of N equal bins of each segment.

    Args:
        features_BTC: (B, T, C); snippets from length_B on are never read.
        length_B: (B,) valid snippets per video, at least 1.
        segments_BP2: (B, P, 2) start <= end in fractions of the valid snippets; no gradient reaches them.
        num_bins, num_samples_per_bin: N and S.
        context_ratio: share of the segment's length added before and after it.

    Returns:
        (B, P, N, C) in the features' type. Points within one snippet of the video's first and last centre
        take the nearest feature, points farther out are zero.
    """
    batch, size, channels = features_BTC.shape
    points_BPNS = sample_points(segments_BP2.detach(), length_B, num_bins, num_samples_per_bin, context_ratio)
    last_B111 = (length_B - 1).view(-1, 1, 1, 1).to(points_BPNS.dtype)
    inside_BPNS = (points_BPNS >= -1.0) & (points_BPNS <= last_B111 + 1.0)
    points_BPNS = torch.minimum(points_BPNS.clamp_min(0.0), last_B111)
    left_BPNS = points_BPNS.floor()
    right_share_BPNS = points_BPNS - left_BPNS
    share_BPNS = inside_BPNS / num_samples_per_bin
    weights = torch.stack([share_BPNS * (1.0 - right_share_BPNS), share_BPNS * right_share_BPNS], dim=-1)
    index = torch.stack([left_BPNS, torch.minimum(left_BPNS + 1.0, last_B111)], dim=-1).long()
    index = index + size * torch.arange(batch, device=index.device).view(-1, 1, 1, 1, 1)
    exact = torch.promote_types(features_BTC.dtype, torch.float32)
    bins = F.embedding_bag(
        index.flatten(0, 2).flatten(1),
        features_BTC.reshape(batch * size, channels).to(exact),
        per_sample_weights=weights.flatten(0, 2).flatten(1).to(exact),
        mode="sum",
    )
    return bins.view(batch, segments_BP2.shape[1], num_bins, channels).to(features_BTC.dtype)


def sample_points(
    segments_BP2: Tensor, length_B: Tensor, num_bins: int, num_samples_per_bin: int, context_ratio: float
) -> Tensor:
    """(B, P, N, S) points in units of snippets, counted from the centre of snippet 0; may lie outside."""
    start_BP, end_BP = (segments_BP2 * length_B.view(-1, 1, 1)).unbind(dim=-1)
    context_BP = context_ratio * (end_BP - start_BP)
    span_BP = end_BP - start_BP + 2.0 * context_BP
    num_points = num_bins * num_samples_per_bin
    step = torch.arange(num_points, device=span_BP.device, dtype=span_BP.dtype)
    share_NS = ((step + 0.5) / num_points).view(num_bins, num_samples_per_bin)
    begin_BP11 = (start_BP - context_BP)[..., None, None]
    return begin_BP11 + share_NS * span_BP[..., None, None] - 0.5
