"""Outer and inner activation of continuous segments, exact and differentiable in their boundaries.

Shou et al., AutoLoc: Weakly-supervised Temporal Action Localization in Untrimmed Videos, 2018, arXiv
1807.08333, section 3. Its code rounds segments to snippets and writes gradients by hand; here the activation
is a step function of time, so that its integral is piecewise linear and torch takes the gradient.

Letters: B batch, T snippets, K classes, N sequences, A segments. Segments are in snippets: [t, t + 1) is the
t-th; activation outside the video is zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

from talaria_models.layers.masking import masked

SHORTEST = 0.01
"""Snippets; below, a length counts as this, because sums in float32 do not tell shorter ones apart."""
SMALLEST_RING = 1.0
"""Snippets of outer area on either side at least, as in AutoLoc."""


def normalised(cas_BKT: Tensor, mask_BT: Tensor | None) -> Tensor:
    """Activation in [0, 1]: evidence against a class is 0, the strongest evidence of a class in a video is 1.

    Args:
        cas_BKT: class activation sequences.
        mask_BT: bool, true inside the video; None when all is.

    Returns:
        (B, K, T) float32, zero outside the video and for a class without any evidence for it.
    """
    positive_BKT = masked(cas_BKT.float().clamp_min(0.0), mask_BT)
    largest_BK1 = positive_BKT.amax(dim=2, keepdim=True)
    return positive_BKT / largest_BK1.clamp_min(torch.finfo(torch.float32).tiny)


def inflated(segments: Tensor, ratio: float) -> Tensor:
    """Outer boundaries (..., 2): on either side `ratio` of the length is added, at least SMALLEST_RING."""
    ring = ((segments[..., 1] - segments[..., 0]) * ratio).clamp_min(SMALLEST_RING)
    return torch.stack([segments[..., 0] - ring, segments[..., 1] + ring], dim=-1)


def activation_sums(activation_NT: Tensor, segments_NA2: Tensor) -> Tensor:
    """Integral of the activation over each segment, (N, A) float32; its gradient at a boundary is the
    activation there."""
    activation_NT = activation_NT.float()
    size = activation_NT.shape[1]
    zero_N1 = activation_NT.new_zeros(len(activation_NT), 1)
    step_NT = torch.cat([activation_NT, zero_N1], dim=1)
    integral_NT = torch.cat([zero_N1, activation_NT.cumsum(dim=1)], dim=1)
    inside_NX = segments_NA2.float().clamp(0.0, float(size)).flatten(1)
    snippet_NX = inside_NX.detach().floor().long()
    share_NX = inside_NX - snippet_NX
    value_NX = integral_NT.gather(1, snippet_NX) + share_NX * step_NT.gather(1, snippet_NX)
    value_NA2 = value_NX.reshape(segments_NA2.shape)
    return value_NA2[..., 1] - value_NA2[..., 0]


def average_activation(activation_NT: Tensor, segments_NA2: Tensor) -> Tensor:
    """Mean activation (N, A) of each segment; of one shorter than SHORTEST, at most that."""
    length_NA = (segments_NA2[..., 1] - segments_NA2[..., 0]).float().clamp_min(SHORTEST)
    return activation_sums(activation_NT, segments_NA2) / length_NA


def contrast(activation_NT: Tensor, segments_NA2: Tensor, inflation: float) -> Tensor:
    """Mean activation inside each segment minus that of the area around it: minus the OIC loss.

    Args:
        activation_NT: in [0, 1].
        segments_NA2: start <= end.
        inflation: width of the area on either side, as a share of the segment's length.

    Returns:
        (N, A) in [-1, 1].
    """
    outer_NA2 = inflated(segments_NA2.float(), inflation)
    inner_sum_NA = activation_sums(activation_NT, segments_NA2)
    ring_sum_NA = activation_sums(activation_NT, outer_NA2) - inner_sum_NA
    inner_length_NA = (segments_NA2[..., 1] - segments_NA2[..., 0]).float()
    # Both rings from their definition: the difference of two long lengths would round them away.
    ring_length_NA = 2.0 * (inner_length_NA * inflation).clamp_min(SMALLEST_RING)
    return inner_sum_NA / inner_length_NA.clamp_min(SHORTEST) - ring_sum_NA / ring_length_NA


def best_anchors(activation_NT: Tensor, segments_NA2: Tensor, inflation: float) -> tuple[Tensor, Tensor]:
    """At every snippet the segment, among those of its anchors, of the largest contrast.

    Args:
        activation_NT: in [0, 1].
        segments_NA2: A = T * M, the M anchors of a snippet side by side.
        inflation: as in `contrast`.

    Returns:
        (N, T, 2) segments and (N, T) their contrast.
    """
    grid = (*activation_NT.shape, segments_NA2.shape[1] // activation_NT.shape[1])
    contrast_NTM = contrast(activation_NT, segments_NA2, inflation).reshape(grid)
    best_NT, anchor_NT = contrast_NTM.max(dim=2)
    segments_NTM2 = segments_NA2.reshape(*grid, 2)
    index_NT12 = anchor_NT[..., None, None].expand(-1, -1, 1, 2)
    return segments_NTM2.gather(2, index_NT12).squeeze(2), best_NT
