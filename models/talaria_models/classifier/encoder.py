"""A transformer over the snippets of a video, for the head of the same name.

Vaswani et al., Attention Is All You Need, 2017, arXiv 1706.03762; layer normalisation before each branch, as
is usual since, so that it trains without a long warm-up. The winners of 2020 add one to the video features of
a classifier (arXiv 2006.07520, section 2.1) and do not say which; sizes are ours.

Letters: B batch, C channels, T snippets, D channels inside.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talaria_models.classifier.config import ClassifierConfig


class Attention(nn.Module):
    """Multi-head self-attention over the snippets that a mask allows."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, snippets_BTD: Tensor, mask_BT: Tensor | None) -> Tensor:
        parts = self.query_key_value(snippets_BTD).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts)
        allowed = None if mask_BT is None else mask_BT[:, None, None, :]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Attention and a perceptron, each normalised before and added after."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(config.hidden_dim)
        self.attention = Attention(config.hidden_dim, config.num_heads)
        self.norm_mlp = nn.LayerNorm(config.hidden_dim)
        self.mlp_in = nn.Linear(config.hidden_dim, config.mlp_dim)
        self.mlp_out = nn.Linear(config.mlp_dim, config.hidden_dim)
        self.dropout = nn.Dropout(config.block_dropout)

    def forward(self, snippets_BTD: Tensor, mask_BT: Tensor | None) -> Tensor:
        attended = self.attention(self.norm_attention(snippets_BTD), mask_BT)
        snippets_BTD = snippets_BTD + self.dropout(attended)
        hidden = F.gelu(self.mlp_in(self.norm_mlp(snippets_BTD)))
        out: Tensor = snippets_BTD + self.dropout(self.mlp_out(hidden))
        return out


class SnippetEncoder(nn.Module):
    """Snippets, normalised and projected, that have attended to each other."""

    def __init__(self, config: ClassifierConfig, in_channels: int) -> None:
        """Build and initialise.

        Args:
            config: sizes; `hidden_dim` is D.
            in_channels: C of the features.
        """
        super().__init__()
        self.norm = nn.LayerNorm(in_channels)
        self.project = nn.Linear(in_channels, config.hidden_dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight.

        LayerNorm: weight 1, bias 0. Linear: Glorot uniform, bias 0; the last one of each branch (`output`,
        `mlp_out`): 0, so that every block begins as the identity and training starts from plain pooling.
        """
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            nn.init.zeros_(block.attention.output.weight)  # type: ignore[union-attr, arg-type]
            nn.init.zeros_(block.mlp_out.weight)  # type: ignore[union-attr, arg-type]

    def forward(self, features_BCT: Tensor, mask_BT: Tensor | None) -> Tensor:
        """(B, C, T) features to (B, D, T); masked snippets change no other and mean nothing themselves."""
        snippets_BTD: Tensor = self.project(self.norm(features_BCT.transpose(1, 2)))
        snippets_BTD = snippets_BTD + positions(snippets_BTD)
        for block in self.blocks:
            snippets_BTD = block(snippets_BTD, mask_BT)
        return snippets_BTD.transpose(1, 2)


def positions(snippets_BTD: Tensor) -> Tensor:
    """Sines and cosines (T, D) of the snippet's number, like `snippets_BTD` in type and place; for any T."""
    num_snippets, dim = snippets_BTD.shape[1:]
    time_T = torch.arange(num_snippets, dtype=torch.float32, device=snippets_BTD.device)
    channel_D = torch.arange(dim, device=snippets_BTD.device)
    rate_D = torch.exp(-math.log(10_000.0) * (channel_D // 2 * 2).float() / dim)
    phase_TD = time_T[:, None] * rate_D + (channel_D % 2) * (math.pi / 2)
    return torch.sin(phase_TD).to(snippets_BTD.dtype)
