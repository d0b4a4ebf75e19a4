"""The blocks that the Refine Network switches on and off.

Letters: B batch, C channels, T snippets, H attention heads, Q proposals of all videos, N bins of a proposal.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LONGEST_PERIOD = 10_000.0
"""Base of the sinusoidal positions, as in Vaswani et al."""


def sinusoidal_positions(hidden_BTC: Tensor) -> Tensor:
    """(T, C) sines, then cosines, of the snippet index; periods from 2 pi to 2 pi * 10000 snippets.

    Vaswani et al.: Attention Is All You Need, 2017, arXiv 1706.03762, section 3.5. Differs in: sines and
    cosines lie in halves instead of alternating, which is a fixed permutation of channels.

    Args:
        hidden_BTC: gives T, an even C, device and type; angles are computed in float32 at least.
    """
    _, num_snippets, channels = hidden_BTC.shape
    exact, device = torch.promote_types(hidden_BTC.dtype, torch.float32), hidden_BTC.device
    snippet_T = torch.arange(num_snippets, device=device, dtype=exact)
    share = torch.arange(channels // 2, device=device, dtype=exact) / (channels // 2)
    angle = snippet_T[:, None] * LONGEST_PERIOD**-share
    return torch.cat([angle.sin(), angle.cos()], dim=1).to(hidden_BTC.dtype)


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward part, each normalised before and added to its input.

    Vaswani et al., section 3.1. Differs in: layers are normalised before instead of after, which trains
    without a warm-up of the learning rate; positions enter queries and keys only, so that what is pooled
    later carries no trace of absolute time; attention weights are not dropped out, since the kernels that
    never hold the (T, T) weights have no dropout on CPUs.
    """

    def __init__(self, channels: int, num_heads: int, feedforward_dim: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_attention = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, channels)
        self.norm_feedforward = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, feedforward_dim)
        self.reduce = nn.Linear(feedforward_dim, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden_BTC: Tensor, positions_TC: Tensor | None, mask_BT: Tensor | None) -> Tensor:
        """Add context to every snippet; masked snippets are not looked at, what they become means nothing."""
        hidden_BTC = hidden_BTC + self.dropout(self._attention(hidden_BTC, positions_TC, mask_BT))
        inner = self.dropout(F.relu(self.expand(self.norm_feedforward(hidden_BTC))))
        result: Tensor = hidden_BTC + self.dropout(self.reduce(inner))
        return result

    def _attention(self, hidden_BTC: Tensor, positions_TC: Tensor | None, mask_BT: Tensor | None) -> Tensor:
        values_BTC = self.norm_attention(hidden_BTC)
        placed_BTC = values_BTC if positions_TC is None else values_BTC + positions_TC
        mixed_BHTE = F.scaled_dot_product_attention(
            self._heads(self.query(placed_BTC)),
            self._heads(self.key(placed_BTC)),
            self._heads(self.value(values_BTC)),
            attn_mask=None if mask_BT is None else mask_BT[:, None, None, :],
        )
        output_BTC: Tensor = self.output(mixed_BHTE.transpose(1, 2).flatten(2))
        return output_BTC

    def _heads(self, hidden_BTC: Tensor) -> Tensor:
        """(B, H, T, C / H)."""
        batch, size, _ = hidden_BTC.shape
        return hidden_BTC.view(batch, size, self.num_heads, -1).transpose(1, 2)


class BinLSTM(nn.Module):
    """Bidirectional LSTM along the bins of each proposal, added to its input.

    Hochreiter, Schmidhuber: Long Short-Term Memory, 1997. Each direction has half the channels; the sum with
    the input is ours and keeps the pooled features within reach of the head.
    """

    def __init__(self, channels: int, num_layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels // 2, num_layers, batch_first=True, bidirectional=True)

    def forward(self, bins_QNC: Tensor) -> Tensor:
        context_QNC: Tensor = self.lstm(bins_QNC)[0]
        return bins_QNC + context_QNC


class NonLocal(nn.Module):
    """Every bin takes from every other bin of its proposal, in the embedded Gaussian form.

    Wang, Girshick, Gupta, He: Non-local Neural Networks, 2018, arXiv 1711.07971, sections 3.2 and 3.3: half
    the channels inside, no scaling of the dot product, and a last layer that starts at zero, so that the
    block starts as the identity. Differs in: no batch norm.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta = nn.Linear(channels, channels // 2)
        self.phi = nn.Linear(channels, channels // 2)
        self.embed = nn.Linear(channels, channels // 2)
        self.output = nn.Linear(channels // 2, channels)

    def forward(self, bins_QNC: Tensor) -> Tensor:
        mixed = F.scaled_dot_product_attention(
            self.theta(bins_QNC), self.phi(bins_QNC), self.embed(bins_QNC), scale=1.0
        )
        result: Tensor = bins_QNC + self.output(mixed)
        return result
