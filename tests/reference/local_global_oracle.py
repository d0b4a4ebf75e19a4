"""Local-global attention the obvious way: all T x T weights of every head, masked.

Letters: B batch, C channels, T snippets, H heads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from talaria_models.layers.local_global import LocalGlobalEncoder


def mask_matrix(num_heads: int, size: int, window: int) -> Tensor:
    """(H, T, T) bool, true where head h at snippet t does not see a snippet; positions clipped into range."""
    hidden = torch.zeros(num_heads, size, size, dtype=torch.bool)
    for head in range(num_heads // 2):
        hidden[head] = True
        for snippet in range(size):
            for step in range(window):
                seen = min(max(snippet - window // 2 + step, 0), size - 1)
                hidden[head, snippet, seen] = False
    return hidden


def masked_attention(
    encoder: LocalGlobalEncoder, hidden_BTC: Tensor, mask_BT: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Output (B, T, C) of the attention and its weights (B, H, T, T), from the weights of `encoder`."""
    batch, size, channels = hidden_BTC.shape
    heads = encoder.num_heads
    projected = encoder.projection(hidden_BTC).view(batch, size, 3, heads, channels // heads)
    query, key, value = projected.permute(2, 0, 3, 1, 4)
    scores = query @ key.transpose(-1, -2) / (channels // heads) ** 0.5
    scores = scores.masked_fill(mask_matrix(heads, size, encoder.window), float("-inf"))
    if mask_BT is not None:
        scores = scores.masked_fill(~mask_BT[:, None, None, :], float("-inf"))
    weights = scores.softmax(dim=-1).nan_to_num(0.0)
    mixed = (weights @ value).transpose(1, 2).reshape(batch, size, channels)
    return encoder.output(mixed), weights
