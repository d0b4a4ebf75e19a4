"""Overlap of temporal segments as torch tensors.

Shape letters: P segments, G truths. Any unit of time serves as long as both arguments use the same one.
"""

from __future__ import annotations

import torch
from torch import Tensor


def overlap(segments_P2: Tensor, truths_G2: Tensor) -> Tensor:
    """Length that every segment shares with every truth.

    Args:
        segments_P2: (P, 2) start and end.
        truths_G2: (G, 2) start and end, in the same unit.

    Returns:
        (P, G), at least 0; empty where P or G is 0.
    """
    start_PG = torch.maximum(segments_P2[:, None, 0], truths_G2[None, :, 0])
    end_PG = torch.minimum(segments_P2[:, None, 1], truths_G2[None, :, 1])
    return (end_PG - start_PG).clamp_min(0.0)


def tiou(segments_P2: Tensor, truths_G2: Tensor) -> Tensor:
    """Temporal intersection over union of every segment with every truth.

    Args:
        segments_P2: (P, 2) start and end, longer than zero.
        truths_G2: (G, 2) start and end, in the same unit; may have zero length.

    Returns:
        (P, G) in [0, 1].
    """
    shared_PG = overlap(segments_P2, truths_G2)
    length_P = segments_P2[:, 1] - segments_P2[:, 0]
    length_G = truths_G2[:, 1] - truths_G2[:, 0]
    return shared_PG / (length_P[:, None] + length_G[None, :] - shared_PG)


def ioa(segments_P2: Tensor, truths_G2: Tensor) -> Tensor:
    """Intersection of every segment with every truth over the segment's own length.

    Args:
        segments_P2: (P, 2) start and end, longer than zero.
        truths_G2: (G, 2) start and end, in the same unit.

    Returns:
        (P, G) in [0, 1].
    """
    length_P = segments_P2[:, 1] - segments_P2[:, 0]
    return overlap(segments_P2, truths_G2) / length_P[:, None]
