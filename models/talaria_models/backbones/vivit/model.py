"""ViViT: a transformer over tubelets, blocks of pixels in space and time.

ViViT: A Video Vision Transformer; Arnab, Dehghani, Heigold, Sun, Lucic, Schmid; 2021; arXiv 2103.15691.
Model 1 (joint space-time attention) and model 2 (factorised encoder) share the encoder; the mean in place of
the class token is the alternative of section 3.3.

Letters: B batch, C colours, L frames of a clip, H, W pixels, T tubelets along time, N tokens, D channels of a
token, K classes.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talaria_models.backbones.pixels import check_clips
from talaria_models.backbones.settings import check_whole
from talaria_models.backbones.vivit.config import ViViTConfig
from talaria_models.base import ClipOutput

NORM_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention over all tokens (Vaswani et al. 2017)."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, tokens_BND: Tensor) -> Tensor:
        query, key, value = (
            project(tokens_BND).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Attention and a perceptron, each normalised before and added after. Source: equations 3 and 4."""

    def __init__(self, config: ViViTConfig) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.attention = Attention(config.width, config.num_heads)
        self.norm_mlp = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.mlp_in = nn.Linear(config.width, config.mlp_width)
        self.mlp_out = nn.Linear(config.mlp_width, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens_BND: Tensor) -> Tensor:
        tokens_BND = tokens_BND + self.dropout(self.attention(self.norm_attention(tokens_BND)))
        hidden = F.gelu(self.mlp_in(self.norm_mlp(tokens_BND)), approximate="tanh")
        out: Tensor = tokens_BND + self.dropout(self.mlp_out(hidden))
        return out


class Encoder(nn.Module):
    """Tokens to one summary: positions, blocks, a norm, and the class token or the mean."""

    def __init__(self, config: ViViTConfig, num_tokens: int, depth: int) -> None:
        super().__init__()
        self.class_token: nn.Parameter | None = None
        if config.pooling == "token":
            self.class_token = nn.Parameter(torch.empty(1, 1, config.width))
            num_tokens += 1
        self.positions = nn.Parameter(torch.empty(1, num_tokens, config.width))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(depth))
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """(B, N, D) tokens to their (B, D) summary."""
        if self.class_token is not None:
            tokens_BND = torch.cat([self.class_token.expand(len(tokens_BND), -1, -1), tokens_BND], dim=1)
        tokens_BND = self.dropout(tokens_BND + self.positions)
        for block in self.blocks:
            tokens_BND = block(tokens_BND)
        if self.class_token is not None:
            return cast(Tensor, self.norm(tokens_BND[:, 0]))
        return cast(Tensor, self.norm(tokens_BND)).mean(1)


class ViViT(nn.Module):
    """Tubelet embedding, one encoder over all tubelets or one over space and one over time, a linear head."""

    def __init__(
        self, config: ViViTConfig, num_classes: int, num_frames: int, height: int, width: int
    ) -> None:
        """Build and initialise the network for one size of clip.

        Args:
            config: the network's settings.
            num_classes: size of the logits.
            num_frames: frames of a clip; a multiple of `config.tubelet_frames`.
            height: pixels; a multiple of `config.patch_size`.
            width: pixels; a multiple of `config.patch_size`.

        Raises:
            ValueError: a clip that is not a whole number of tubelets.
        """
        super().__init__()
        check_whole("tubelet_frames", config.tubelet_frames, num_frames=num_frames)
        check_whole("patch_size", config.patch_size, height=height, width=width)
        self.config = config
        self.clip_size = (num_frames, height, width)
        self.feature_dim = config.width
        tubelet = (config.tubelet_frames, config.patch_size, config.patch_size)
        self.embed = nn.Conv3d(3, config.width, tubelet, stride=tubelet)
        num_times = num_frames // config.tubelet_frames
        num_places = (height // config.patch_size) * (width // config.patch_size)
        self.temporal: Encoder | None = None
        if config.attention == "factorised":
            self.encoder = Encoder(config, num_places, config.depth)
            self.temporal = Encoder(config, num_times, config.temporal_depth)
        else:
            self.encoder = Encoder(config, num_times * num_places, config.depth)
        self.dropout = nn.Dropout(config.head_dropout)
        self.head = nn.Linear(config.width, num_classes)
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight for training without an image model's weights to start from.

        | weights | value |
        |---|---|
        | tubelet embedding | normal, variance 1 / (pixels of a tubelet * 3), cut at two deviations; bias 0 |
        | attention, perceptron | Xavier uniform; bias 0 |
        | layer norm | weight 1, bias 0 |
        | positions | normal, deviation 0.02 |
        | class token, head | 0 |
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, Encoder):
                nn.init.normal_(module.positions, std=0.02)
                if module.class_token is not None:
                    nn.init.zeros_(module.class_token)
        std = self.embed.weight[0].numel() ** -0.5
        nn.init.trunc_normal_(self.embed.weight, std=std, a=-2 * std, b=2 * std)
        for tensor in (self.embed.bias, self.head.weight, self.head.bias):
            nn.init.zeros_(cast(Tensor, tensor))

    def forward(self, clips_BCLHW: Tensor) -> ClipOutput:
        """Features and logits of normalised clips.

        Args:
            clips_BCLHW: (B, 3, L, H, W) of the size given to the constructor, normalised with the config's
                `pixel_mean` and `pixel_std`.

        Returns:
            features_BC: the last encoder's normalised class token or mean, what the head sees but for its
                dropout; logits_BK.

        Raises:
            ValueError: clips of another size.
        """
        check_clips(clips_BCLHW, *self.clip_size)
        tokens_BTND = self.embed(clips_BCLHW).flatten(3).permute(0, 2, 3, 1)
        if self.temporal is None:
            features_BC = self.encoder(tokens_BTND.flatten(1, 2))
        else:
            frames_BTD = self.encoder(tokens_BTND.flatten(0, 1)).unflatten(0, tokens_BTND.shape[:2])
            features_BC = self.temporal(frames_BTD)
        return ClipOutput(features_BC, self.head(self.dropout(features_BC)))
