"""Snippets outside a video read as zero, so that convolutions see them as padding."""

from __future__ import annotations

from torch import Tensor


def masked(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Zero where a snippet does not exist.

    Args:
        hidden: (B, C, ...).
        mask: (B, ...) bool, false where nothing exists; None when everything does.

    Returns:
        Of the shape and type of `hidden`.
    """
    return hidden if mask is None else hidden.masked_fill(~mask.unsqueeze(1), 0.0)
