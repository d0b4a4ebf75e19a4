"""Local-Global Temporal Encoder: attention whose first half of the heads sees a window, the rest everything.

Qing, Su, Gan, Wang, Wu, Wang, Qiao, Yan, Gao, Sang: Temporal Context Aggregation Network for Temporal Action
Proposal Refinement, 2021, arXiv 2103.13141, section 3.2; 2021 report, equations 1 to 9. The published code
lets every head compute all T x T weights and masks the local ones; here a local head works block by block, on
the keys of the block and the window's reach around it, so that its time and memory grow linearly with the
length. Equation 8 is implemented as in the published code: the features are added to the attention's output,
then normalised.

Letters: B batch, C channels, T snippets, H heads, D channels of a head, W snippets of the window,
N blocks, L queries and K keys of a block.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PUBLISHED_NAMES = {
    "authors": {
        "self_atten.scale_attention.in_proj_": "projection.",
        "self_atten.scale_attention.out_proj.": "output.",
        "linear1.": "linear1.",
        "linear2.": "linear2.",
        "norm1.": "norm1.",
        "norm2.": "norm2.",
    },
    "mmaction2": {
        "atten.attn.in_proj_": "projection.",
        "atten.attn.out_proj.": "output.",
        "ffn.layers.0.0.": "linear1.",
        "ffn.layers.1.": "linear2.",
        "norm1.": "norm1.",
        "norm2.": "norm2.",
    },
}
"""Beginnings of the published parameter names and of those here; `weight` or `bias` follows."""
BLOCK = 16
"""Queries that share the keys of one block: 8 to 32 take about the same time on a CPU."""
NORM_EPS = {"authors": 1e-5, "mmaction2": 1e-6}
"""Epsilon of the layer norms in each published implementation."""


class LocalGlobalEncoder(nn.Module):
    """One encoder layer: local and global attention, then a feed-forward network, both with post-norm."""

    def __init__(
        self,
        channels: int,
        *,
        num_heads: int = 8,
        window: int = 9,
        feedforward_dim: int = 256,
        dropout: float = 0.1,
        norm_eps: float = NORM_EPS["authors"],
    ) -> None:
        """Build and initialise; the defaults are the published settings.

        Args:
            channels: C, of input and output.
            num_heads: H; heads 0 to H // 2 - 1 are local, the others global.
            window: W, odd: a local head at snippet t sees t - W // 2 to t + W // 2 as far as they exist.
            feedforward_dim: hidden channels of the feed-forward network.
            dropout: rate on attention weights, on the hidden layer and on both residual branches.
            norm_eps: epsilon of the layer norms.

        Raises:
            ValueError: a size out of range; the message names the argument.
        """
        super().__init__()
        if num_heads < 1 or channels % num_heads:
            raise ValueError(f"num_heads: found {num_heads}, expected a divisor of the {channels} channels")
        if window < 1 or window % 2 == 0:
            raise ValueError(f"window: found {window}, expected an odd number of at least 1")
        self.num_heads, self.window, self.dropout = num_heads, window, dropout
        self.projection = nn.Linear(channels, 3 * channels)
        self.output = nn.Linear(channels, channels)
        self.linear1 = nn.Linear(channels, feedforward_dim)
        self.linear2 = nn.Linear(feedforward_dim, channels)
        self.norm1 = nn.LayerNorm(channels, eps=norm_eps)
        self.norm2 = nn.LayerNorm(channels, eps=norm_eps)
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight as the published layer does.

        projection: Xavier uniform over all three matrices at once, bias zero.
        output, linear1, linear2: uniform in +-1/sqrt(fan_in), torch's default; bias of output zero.
        norm1, norm2: ones and zeros.
        """
        for module in (self.output, self.linear1, self.linear2, self.norm1, self.norm2):
            module.reset_parameters()
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, features_BCT: Tensor, mask_BT: Tensor | None = None) -> Tensor:
        """Encode a batch of sequences of any length.

        Args:
            features_BCT: (B, C, T).
            mask_BT: (B, T) bool, true at snippets of the video; None when all are. Others get no attention.

        Returns:
            (B, C, T), zero where the mask is false; snippets inside do not depend on those outside.
        """
        input_BTC = features_BCT.transpose(1, 2)
        hidden_BTC: Tensor = self.norm1(input_BTC + self._dropped(self.attention(input_BTC, mask_BT)))
        inner = self._dropped(F.relu(self.linear1(hidden_BTC)))
        hidden_BTC = self.norm2(hidden_BTC + self._dropped(self.linear2(inner)))
        if mask_BT is not None:
            hidden_BTC = hidden_BTC.masked_fill(~mask_BT[:, :, None], 0.0)
        return hidden_BTC.transpose(1, 2)

    def attention(self, hidden_BTC: Tensor, mask_BT: Tensor | None) -> Tensor:
        """Output of all heads, (B, T, C), before the residual connection."""
        batch, size, _ = hidden_BTC.shape
        query, key, value = self.projection(hidden_BTC).view(batch, size, 3, self.num_heads, -1).unbind(2)
        valid_BT = hidden_BTC.new_ones(batch, size, dtype=torch.bool) if mask_BT is None else mask_BT
        num_local = self.num_heads // 2
        rate = self.dropout if self.training else 0.0
        local_BTHD = window_attention(
            query[:, :, :num_local],
            key[:, :, :num_local],
            value[:, :, :num_local],
            valid_BT,
            self.window,
            rate,
        )
        query, key, value = (part[:, :, num_local:].transpose(1, 2) for part in (query, key, value))
        seen = None if mask_BT is None else mask_BT[:, None, None, :]
        global_BHTD = F.scaled_dot_product_attention(query, key, value, seen, rate)
        heads_BTHD = torch.cat([local_BTHD, global_BHTD.transpose(1, 2)], dim=2)
        output_BTC: Tensor = self.output(heads_BTHD.flatten(2))
        return output_BTC

    def _dropped(self, hidden: Tensor) -> Tensor:
        return F.dropout(hidden, self.dropout, self.training)


def window_attention(
    query_BTHD: Tensor,
    key_BTHD: Tensor,
    value_BTHD: Tensor,
    valid_BT: Tensor,
    window: int,
    dropout: float = 0.0,
) -> Tensor:
    """Attention of every snippet to the window around it.

    The published code clips positions beyond either end into range; since they then repeat a snippet that is
    in the window anyway, that is the same as leaving them out.

    Args:
        query_BTHD, key_BTHD, value_BTHD: (B, T, H, D).
        valid_BT: (B, T) bool; other snippets are not attended to.
        window: W, odd.
        dropout: rate on the weights.

    Returns:
        (B, T, H, D); a snippet without any valid one in its window gets a finite value that means nothing.
        Work and memory are proportional to T * (W + BLOCK).
    """
    size, reach = query_BTHD.shape[1], window // 2
    query_BNHLD = _blocks(query_BTHD * query_BTHD.shape[-1] ** -0.5, 0).transpose(-1, -2)
    key_BNHDK, value_BNHDK = _blocks(key_BTHD, reach), _blocks(value_BTHD, reach)
    near_LK = torch.ones(BLOCK, BLOCK + 2 * reach, dtype=torch.bool, device=valid_BT.device)
    near_LK = near_LK.triu().tril(2 * reach)
    seen_BNHLK = near_LK & _blocks(valid_BT[:, :, None, None], reach)
    score_BNHLK = query_BNHLD @ key_BNHDK
    exact = torch.promote_types(score_BNHLK.dtype, torch.float32)
    score_BNHLK = score_BNHLK.to(exact).masked_fill(~seen_BNHLK, torch.finfo(exact).min)
    weight_BNHLK = F.dropout(score_BNHLK.softmax(dim=-1), dropout, dropout > 0.0)
    mixed_BNHLD = weight_BNHLK.to(value_BNHDK.dtype) @ value_BNHDK.transpose(-1, -2)
    return mixed_BNHLD.transpose(2, 3).flatten(1, 2)[:, :size]


def _blocks(rows_BTHD: Tensor, reach: int) -> Tensor:
    """(B, N, H, D, K) rows of every block with `reach` more on either side; zero beyond the ends."""
    missing = -rows_BTHD.shape[1] % BLOCK
    padded = F.pad(rows_BTHD, (0, 0, 0, 0, reach, reach + missing))
    return padded.unfold(1, BLOCK + 2 * reach, BLOCK)


def published_state(state: dict[str, Tensor], layout: str) -> dict[str, Tensor]:
    """Weights of one published layer under the names used here; the stored mask matrix is left out.

    Args:
        state: parameters under the layer's published names, without a prefix.
        layout: `authors` (qingzhiwu/Temporal-Context-Aggregation-Network-Pytorch) or `mmaction2`.

    Returns:
        Renamed parameters; a name that is neither known nor a mask keeps its own.
    """
    renamed = {}
    for key, value in state.items():
        if key in ("self_atten.mask_matrix", "mask"):
            continue
        old = next((name for name in PUBLISHED_NAMES[layout] if key.startswith(name)), "")
        renamed[PUBLISHED_NAMES[layout].get(old, "") + key.removeprefix(old)] = value
    return renamed
