"""Boundaries from anchors: the boundary regression module. Report, section 3.1, figure 6.

Letters: B batch, C channels, T snippets, M anchor lengths, A = T * M segments.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talaria_models.kt_mgfn.config import KTMGFNConfig
from talaria_models.layers.masking import masked
from talaria_models.offsets import decode_segment

NUM_CONVS = 3


class BoundaryRegressor(nn.Module):
    """Moves the anchors around every snippet."""

    def __init__(self, config: KTMGFNConfig, in_channels: int) -> None:
        """Build and initialise.

        Args:
            config: sizes and anchors.
            in_channels: C of the features.
        """
        super().__init__()
        self.lengths = config.anchor_lengths
        size, padding = config.kernel_size, config.kernel_size // 2
        widths = [in_channels] + [config.regressor_dim] * NUM_CONVS
        self.convs = nn.ModuleList(
            nn.Conv1d(narrow, wide, size, padding=padding) for narrow, wide in pairwise(widths)
        )
        self.offsets = nn.Conv1d(config.regressor_dim, 2 * len(self.lengths), size, padding=padding)
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight.

        convs: Kaiming normal (fan in, ReLU), bias 0. offsets: normal with deviation 0.001, bias 0, so that
        training starts from the anchors.
        """
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # type: ignore[arg-type]
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.offsets.weight, std=0.001)
        nn.init.zeros_(self.offsets.bias)  # type: ignore[arg-type]

    def forward(self, features_BCT: Tensor, mask_BT: Tensor | None) -> Tensor:
        """Segments (B, A, 2) in snippets, float32, not cut to the video; M of a snippet stand side by side.

        Args:
            features_BCT: zero outside the video.
            mask_BT: bool, true inside; None when all is.
        """
        hidden_BCT = features_BCT
        for conv in self.convs:
            hidden_BCT = masked(F.relu(conv(hidden_BCT)), mask_BT)
        offsets_BTM2 = self.offsets(hidden_BCT).float().unflatten(1, (2, -1)).permute(0, 3, 2, 1)
        anchors_TM2 = anchors(features_BCT.shape[2], self.lengths, features_BCT.device)
        return decode_segment(anchors_TM2, offsets_BTM2).flatten(1, 2)


def anchors(num_snippets: int, lengths: tuple[float, ...], device: torch.device | None = None) -> Tensor:
    """(T, M, 2) segments in snippets: centred on every snippet, of every length."""
    centre_T1 = torch.arange(num_snippets, dtype=torch.float32, device=device)[:, None] + 0.5
    half_M = torch.tensor(lengths, dtype=torch.float32, device=device) / 2
    return torch.stack([centre_T1 - half_M, centre_T1 + half_M], dim=-1)
