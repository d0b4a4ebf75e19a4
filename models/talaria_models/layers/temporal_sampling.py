"""Features at evenly spaced points of temporal spans, interpolated linearly, for any number of spans a video.

The published TCANet copies the features of a video once per proposal and samples them as a picture of height
1; here one call samples all spans of a batch from one copy. Positions follow the same two conventions.

Letters: B batch, C channels, T snippets, P spans, S samples of a span.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sample_spans(
    features_BCT: Tensor,
    spans_BP2: Tensor,
    num_samples: int,
    mask_BT: Tensor | None = None,
    *,
    align_corners: bool = False,
) -> Tensor:
    """Sample every span at `num_samples` points.

    Args:
        features_BCT: (B, C, T), zero where `mask_BT` is false.
        spans_BP2: (B, P, 2) start and end as fractions of the video; beyond [0, 1] the features fade to zero
            within one snippet. A span of zero length gives S equal samples.
        num_samples: S, at least 1.
        mask_BT: (B, T) bool, true for the first snippets of each video up to its length; None for all. The
            fractions refer to these snippets.
        align_corners: false: a snippet is an interval, 0 and 1 are the outer edges of the first and the last
            one, and samples lie in the middle of S equal parts of the span (torch since 1.3); true: 0 and 1
            are the centres of the first and the last snippet, and samples include both ends of the span.

    Returns:
        (B, P, C, S) in the dtype of the features.
    """
    position_BPS = span_positions(spans_BP2, num_samples, align_corners)
    return sample_positions(features_BCT, position_BPS, mask_BT, align_corners=align_corners)


def span_positions(spans_BP2: Tensor, num_samples: int, align_corners: bool = False) -> Tensor:
    """Sample positions (..., S) of spans (..., 2), where -1 is fraction 0 of the video and 1 is fraction 1.

    Taken about the middle of the span and in the order of the published code, so that rounding agrees; in at
    least float32, since positions in bfloat16 would be off by whole snippets.
    """
    exact = torch.promote_types(spans_BP2.dtype, torch.float32)
    centred = (spans_BP2.to(exact) - 0.5) / 0.5
    unit_S = torch.linspace(-1.0, 1.0, num_samples, dtype=exact, device=spans_BP2.device)
    if num_samples == 1:
        unit_S = torch.zeros_like(unit_S)
    elif not align_corners:
        unit_S = unit_S * (num_samples - 1) / num_samples
    half = (centred[..., 1] - centred[..., 0]) / 2.0
    middle = (centred[..., 1] + centred[..., 0]) / 2.0
    return half[..., None] * unit_S + middle[..., None]


def sample_positions(
    features_BCT: Tensor, position_BPS: Tensor, mask_BT: Tensor | None = None, *, align_corners: bool = False
) -> Tensor:
    """(B, P, C, S) features at positions (B, P, S) that `span_positions` made; else as `sample_spans`."""
    if mask_BT is not None:
        size = features_BCT.shape[2]
        position_BPS = _on_padded_grid(position_BPS, mask_BT.sum(dim=1), size, align_corners)
    grid_BPS2 = torch.stack([position_BPS, torch.zeros_like(position_BPS)], dim=-1)
    row = features_BCT.to(grid_BPS2.dtype).unsqueeze(2)  # grid_sample wants features and grid in one dtype
    sampled_BCPS = F.grid_sample(row, grid_BPS2, align_corners=align_corners)
    return sampled_BCPS.transpose(1, 2).to(features_BCT.dtype)


def _on_padded_grid(position_BPS: Tensor, length_B: Tensor, size: int, align_corners: bool) -> Tensor:
    """Positions on `length_B` snippets as positions on all `size`; the same where all are filled."""
    length_B = length_B.to(position_BPS.dtype)
    share_B = (length_B - 1) / max(size - 1, 1) if align_corners else length_B / size
    share_B11 = share_B[:, None, None]
    return torch.where(share_B11 == 1.0, position_BPS, (position_BPS + 1.0) * share_B11 - 1.0)


def with_context(segments_BP2: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """The spans before the start and after the end of every segment, `ratio` of its length each.

    Args:
        segments_BP2: (B, P, 2) start and end, any unit.

    Returns:
        Two (B, P, 2) in the same unit: [start - ratio * length, start] and [end, end + ratio * length].
    """
    start_BP, end_BP = segments_BP2.unbind(dim=-1)
    margin_BP = ratio * (end_BP - start_BP)
    before_BP2 = torch.stack([start_BP - margin_BP, start_BP], dim=-1)
    return before_BP2, torch.stack([end_BP, end_BP + margin_BP], dim=-1)
