"""SP-TAD: Towards High-Quality Temporal Action Detection with Sparse Proposals.

Wu, Sun, Chen, Yang, Qi, Ma, Luo, 2021, arXiv 2109.08847. No code was published; what the paper leaves open is
decided in README.md of this folder. From frames to segments in one network: a two-stream backbone, a temporal
pyramid, detection heads that refine learned proposals one after the other, and a classifier of the window.

Letters: B windows, L frames, H, W pixels, C channels, T places of a level in time, P proposals, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from talaria_models.backbones.i3d.model import I3D
from talaria_models.sp_tad.backbone import Levels, TwoStreamBackbone, places
from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.sp_tad.pyramid import TemporalPyramid
from talaria_models.sp_tad.soi_align import flattened
from talaria_models.sp_tad.sparse_head import DetectionHead, SPTADStage

SHORTEST = 1e-4
"""Least length of a learned proposal, as a fraction of the window."""


@dataclass(frozen=True)
class SPTADOutput:
    """Logits and segments of one batch of windows.

    Attributes:
        stages: one a detection head, in their order; the last is the result.
        clip_logits_BK: logit of each class happening somewhere in the window.
    """

    stages: tuple[SPTADStage, ...]
    clip_logits_BK: Tensor


class SPTADHeads(nn.Module):
    """All that follows the backbone: pyramid, classification head, learned proposals, detection heads."""

    def __init__(self, config: SPTADConfig, num_classes: int, level_dims: Sequence[int]) -> None:
        super().__init__()
        self.config = config
        self.pyramid = TemporalPyramid(config, level_dims)
        self.classify_clip = nn.Linear(sum(level_dims), num_classes)
        self.proposal_segments = nn.Parameter(torch.empty(config.num_proposals, 2))
        self.proposal_features = nn.Parameter(torch.empty(config.num_proposals, config.hidden_dim))
        self.stages = nn.ModuleList(DetectionHead(config, num_classes) for _ in range(config.num_stages))
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight.

        | weights | value |
        |---|---|
        | convolutions of the pyramid | uniform in +-1/sqrt(fan_in), torch's default |
        | linear layers and attention of the detection heads | Xavier uniform; bias 0 |
        | bias of their classes | logit of `class_prior` |
        | LayerNorm | weight 1, bias 0 |
        | classification head | normal, deviation 0.01; bias 0 |
        | proposal segments | centre 0.5, length 1: the whole window |
        | proposal features | normal, deviation 1 |
        """
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.LayerNorm):
                module.reset_parameters()
        for name, parameter in self.stages.named_parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        prior = self.config.class_prior
        for stage in self.stages:
            assert isinstance(stage, DetectionHead)
            nn.init.constant_(stage.classify.bias, math.log(prior / (1.0 - prior)))
        nn.init.normal_(self.classify_clip.weight, std=0.01)
        nn.init.zeros_(self.classify_clip.bias)
        with torch.no_grad():
            self.proposal_segments.copy_(torch.tensor([0.5, 1.0]))
        nn.init.normal_(self.proposal_features)

    def forward(self, levels_BCT: Levels, length_B: Tensor | None = None) -> SPTADOutput:
        """Predictions of every detection head and of the classifier, as `SPTAD.heads` describes them."""
        clip_logits_BK = self.classify_clip(self._pooled(levels_BCT, length_B))
        pyramid = flattened(self.pyramid(levels_BCT))
        batch = len(levels_BCT[0])
        features_BPD = self.proposal_features.expand(batch, -1, -1)
        segments_BP2 = self.learned_segments().expand(batch, -1, -1)
        stages: list[SPTADStage] = []
        for head in self.stages:
            stage, features_BPD = head(features_BPD, segments_BP2, pyramid)
            stages.append(stage)
            segments_BP2 = stage.segments_BP2.detach()
        return SPTADOutput(tuple(stages), clip_logits_BK)

    def learned_segments(self) -> Tensor:
        """(P, 2) start and end of the learned proposals, fractions of the window."""
        centre_P, length_P = self.proposal_segments.unbind(dim=1)
        half_P = 0.5 * length_P.clamp_min(SHORTEST)
        return torch.stack([centre_P - half_P, centre_P + half_P], dim=1)

    def _pooled(self, levels_BCT: Levels, length_B: Tensor | None) -> Tensor:
        """(B, C) means over the filled places of every level, one after the other."""
        if length_B is None:
            return torch.cat([level.mean(dim=2) for level in levels_BCT], dim=1)
        pooled = []
        for number, level_BCT in enumerate(levels_BCT, start=1):
            mask_BT = places(length_B, level_BCT.shape[2], 2**number)
            pooled.append((level_BCT * mask_BT[:, None]).sum(dim=2) / mask_BT.sum(dim=1, keepdim=True))
        return torch.cat(pooled, dim=1)


class SPTAD(nn.Module):
    """Backbone and heads.

    `backbone` and `heads` are called one after the other by `forward`, and may be called apart:

        levels = model.backbone(rgb_BLHWC, flow_BLHWC, length_B)
        output = model.heads(levels, length_B)

    `levels` are three (B, C, T) float32 tensors, T a half, a quarter and an eighth of the frames, zero at
    places that see no frame of the window's length.
    """

    def __init__(self, config: SPTADConfig, num_classes: int) -> None:
        """Build and initialise.

        Args:
            config: sizes, streams and conventions.
            num_classes: K, without background.
        """
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.backbone = TwoStreamBackbone(config)
        self.heads = SPTADHeads(config, num_classes, self.backbone.level_dims)

    def init_weights(self) -> None:
        """Set every weight: tables in `I3D.init_weights` and `SPTADHeads.init_weights`."""
        self.backbone.init_weights()
        self.heads.init_weights()

    def stream(self, name: str) -> I3D:
        """The backbone of one stream: what `backbones/i3d/checkpoint.py` loads into, with `head=False`."""
        return self.backbone.network(name)

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that train at `backbone_lr_scale` times the rate; none where that is 0."""
        return (parameter for parameter in self.backbone.parameters() if parameter.requires_grad)

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """All other parameters."""
        return self.heads.parameters()

    def forward(
        self, rgb_BLHWC: Tensor | None, flow_BLHWC: Tensor | None = None, length_B: Tensor | None = None
    ) -> SPTADOutput:
        """Detect actions in windows.

        Args:
            rgb_BLHWC: (B, L, H, W, 3) uint8 as decoded; None where `streams` does without.
            flow_BLHWC: (B, L, H, W, 2) uint8 as `backbones/flow.py` keeps it; None where `streams` does
                without. L, H and W are `window_frames` and `crop_size`.
            length_B: (B,) int64, frames of each window that belong to the video, at least 1; None for all.
                What the others hold changes nothing.

        Returns:
            Segments as fractions of the window, all `window_frames` of it.

        Raises:
            ValueError: a stream is missing, or of another dtype or size.
        """
        levels: Levels = self.backbone(rgb_BLHWC, flow_BLHWC, length_B)
        output: SPTADOutput = self.heads(levels, length_B)
        return output
