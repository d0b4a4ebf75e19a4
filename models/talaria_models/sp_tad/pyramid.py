"""The temporal feature pyramid: levels of the backbone, each told what the coarser ones know.

Wu et al. 2021, section 3.1.2; Lin et al.: Feature Pyramid Networks for Object Detection, 2017, arXiv
1612.03144, section 3, along time.

Letters: B windows, C channels of a backbone level, D channels of the pyramid, T places of a level.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from talaria_models.sp_tad.config import BACKBONE_LEVELS, SPTADConfig


class TemporalPyramid(nn.Module):
    """Lateral convolutions, sums from coarse to fine, a convolution a level, max pools on top."""

    def __init__(self, config: SPTADConfig, level_dims: Sequence[int]) -> None:
        super().__init__()
        hidden = config.hidden_dim
        self.num_pooled = config.num_levels - BACKBONE_LEVELS
        self.lateral = nn.ModuleList(nn.Conv1d(channels, hidden, kernel_size=1) for channels in level_dims)
        self.output = nn.ModuleList(nn.Conv1d(hidden, hidden, kernel_size=3, padding=1) for _ in level_dims)

    def forward(self, levels_BCT: Sequence[Tensor]) -> list[Tensor]:
        """Levels of the pyramid.

        Args:
            levels_BCT: (B, C, T), (B, C', T / 2) and (B, C'', T / 4) from the backbone.

        Returns:
            `num_levels` times (B, D, T), (B, D, T / 2), ..., finest first.
        """
        lateral = [conv(level) for conv, level in zip(self.lateral, levels_BCT, strict=True)]
        for fine in reversed(range(len(lateral) - 1)):
            lateral[fine] = lateral[fine] + F.interpolate(lateral[fine + 1], scale_factor=2.0)
        levels = [conv(level) for conv, level in zip(self.output, lateral, strict=True)]
        for _ in range(self.num_pooled):
            levels.append(F.max_pool1d(levels[-1], kernel_size=2, stride=2))
        return levels
