"""Maximum Mean Discrepancy between two sets of features, with several Gaussian kernels.

Gretton et al., A Kernel Two-Sample Test, JMLR 13, 2012, equation 5 (the biased estimate: never negative, and
defined for a single point, which is what one video has). Kernels are widened with the distances that they
meet, as deep adaptation networks do (Long et al. 2015, arXiv 1502.02791, section 3).

Letters: N, M points of the two sets, H channels, X points of both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def squared_mmd(first_NH: Tensor, second_MH: Tensor, widths: Sequence[float], valid_M: Tensor) -> Tensor:
    """Squared discrepancy, averaged over the kernels.

    Args:
        first_NH: (..., N, H), N of at least 1.
        second_MH: (..., M, H).
        widths: of the kernels, in mean squared distances between the points of both sets.
        valid_M: (..., M) bool, false for points that do not exist, whatever they hold.

    Returns:
        (...) float32, at least 0 and below 4; zero for equal sets and where `second_MH` has no valid point.
    """
    second_MH = second_MH.float().masked_fill(~valid_M[..., None], 0.0)
    points_XH = torch.cat([first_NH.float(), second_MH], dim=-2)
    num_first = first_NH.shape[-2]
    count_1 = valid_M.sum(dim=-1, keepdim=True)
    second_weight_M = valid_M / count_1.clamp_min(1)
    first_weight_N = torch.full_like(points_XH[..., :num_first, 0], 1.0 / num_first)
    weight_X = torch.cat([first_weight_N, -second_weight_M.to(first_weight_N.dtype)], dim=-1)
    distance_XX = _squared_distances(points_XH)
    with torch.no_grad():
        exists_X = weight_X != 0
        pairs_XX = (exists_X[..., :, None] & exists_X[..., None, :]).float()
        pairs_XX = pairs_XX - torch.diag_embed(exists_X.float())
        num_pairs = pairs_XX.sum(dim=(-2, -1), keepdim=True).clamp_min(1.0)
        scale = (distance_XX * pairs_XX).sum(dim=(-2, -1), keepdim=True) / num_pairs
        scale = scale.clamp_min(torch.finfo(torch.float32).eps)
    kernel_XX = torch.stack([torch.exp(-distance_XX / (width * scale)) for width in widths]).mean(dim=0)
    mmd = (weight_X[..., :, None] * kernel_XX * weight_X[..., None, :]).sum(dim=(-2, -1))
    return torch.where(count_1.squeeze(-1) > 0, mmd.clamp_min(0.0), 0.0)


def _squared_distances(points_XH: Tensor) -> Tensor:
    """(..., X, X) squared Euclidean distances; taken by differences, so that equal points have none."""
    return (points_XH[..., :, None, :] - points_XH[..., None, :, :]).square().sum(dim=-1)
