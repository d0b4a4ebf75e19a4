"""How a refiner's regressions move a segment, and what they should have been.

Two codes, each with its inverse: `boundary` moves start and end by shares of the length (frame-level
regression), `segment` moves the centre by a share of the length and stretches the length by an exponential
(segment-level regression). Qing et al. 2021, arXiv 2103.13141, equations 8 to 10. The paper and the 2021
report write the offsets with a minus sign; the published code, followed here, adds them.

Segments are (..., 2) start and end in any one unit of time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MAX_LOG_STRETCH = 16.0
"""Logarithm of the largest change of length, 9 million times: more than any segment of a video needs."""


def encode_boundary(segments: Tensor, truths: Tensor, shortest: float) -> Tensor:
    """Distance from each boundary to the true one over the segment's length.

    Args:
        segments, truths: (..., 2), row by row.
        shortest: lengths below count as this, in the unit of the segments.

    Returns:
        (..., 2) offsets of start and end.
    """
    return (truths - segments) / _length(segments, shortest)[..., None]


def decode_boundary(segments: Tensor, offsets: Tensor, scale: float = 1.0) -> Tensor:
    """Segments whose boundaries are moved by `scale` times the offsets times the length."""
    length = segments[..., 1] - segments[..., 0]
    return segments + offsets * length[..., None] * scale


def encode_segment(segments: Tensor, truths: Tensor, shortest: float) -> Tensor:
    """Distance of the centres over the segment's length, and logarithm of the ratio of lengths.

    Args and returns as `encode_boundary`; the columns are centre and length.
    """
    length, true_length = _length(segments, shortest), _length(truths, shortest)
    moved = (truths[..., 0] + 0.5 * true_length - segments[..., 0] - 0.5 * length) / length
    return torch.stack([moved, torch.log(true_length / length)], dim=-1)


def decode_segment(
    segments: Tensor, offsets: Tensor, centre_scale: float = 1.0, length_scale: float = 1.0
) -> Tensor:
    """Segments with the centre moved and the length stretched by the scaled offsets.

    The stretch is held within `MAX_LOG_STRETCH`, so that no offset makes a segment of infinite length.
    """
    length = segments[..., 1] - segments[..., 0]
    centre = segments[..., 0] + 0.5 * length + offsets[..., 0] * centre_scale * length
    log_stretch = (offsets[..., 1] * length_scale).clamp(-MAX_LOG_STRETCH, MAX_LOG_STRETCH)
    half = 0.5 * torch.exp(log_stretch) * length
    return torch.stack([centre - half, centre + half], dim=-1)


ENCODERS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "boundary": encode_boundary,
    "segment": encode_segment,
}
"""Regression targets by the name of their code."""


def _length(segments: Tensor, shortest: float) -> Tensor:
    return (segments[..., 1] - segments[..., 0]).clamp_min(shortest)
