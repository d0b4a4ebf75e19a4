"""S-2D-TAN: Learning Sparse 2D Temporal Adjacent Networks for Temporal Action Localization.

Zhang, Peng, Yang, Fu, Luo 2019 (winners of the HACS challenge). Candidates are pooled by stacked maxima; a
stack of convolutions, shared by the compact maps of short, medium and long ones, tells how much each overlaps
an action; a classifier without convolutions and with no weight in common tells which.

Letters: B batch, C channels, T snippets, H hidden channels, Q candidates, S rows of a compact map, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talaria_models.layers.masking import masked
from talaria_models.s_2d_tan.candidates import CandidateLayout, Kind, layout
from talaria_models.s_2d_tan.config import S2DTANConfig


@dataclass(frozen=True)
class S2DTANOutput:
    """Logits of one batch.

    Attributes:
        overlap_logits_BQ: whether a candidate contains an action.
        class_logits_BQK: which action it would be.
        valid_BQ: bool, whether the candidate lies within the video; other logits mean nothing.
    """

    overlap_logits_BQ: Tensor
    class_logits_BQK: Tensor
    valid_BQ: Tensor


def pooled(features_BHT: Tensor, kinds: tuple[Kind, ...]) -> Tensor:
    """(B, H, Q) largest feature of each candidate, by stacked pooling (section 1.1)."""
    rows = []
    for index, kind in enumerate(kinds):
        if index:
            features_BHT = F.max_pool1d(features_BHT, kernel_size=3, stride=2)
        for step in range(kind.num_lengths):
            if step:
                features_BHT = torch.maximum(features_BHT[..., :-1], features_BHT[..., 1:])
            rows.append(features_BHT)
    return torch.cat(rows, dim=2)


class MapConvolutions(nn.Module):
    """Convolutions over a map with gaps; every output is divided by the cells that it sees.

    As in 2D-TAN the first layer has the padding of all, so that the map keeps its size in the end.
    """

    def __init__(self, channels: int, kernel_size: int, num_layers: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.paddings = [num_layers * (kernel_size // 2)] + [0] * (num_layers - 1)
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, channels, kernel_size, padding=padding) for padding in self.paddings
        )

    def forward(self, map_BHSS: Tensor, mask_BSS: Tensor) -> Tensor:
        """(B, H, S, S).

        Args:
            map_BHSS: zero where there is no candidate.
            mask_BSS: bool, where there is one; B may be 1.
        """
        seen_B1SS = mask_BSS[:, None]
        for conv, padding in zip(self.convs, self.paddings, strict=True):
            map_BHSS = F.relu(conv(map_BHSS))
            weight_B1SS = cell_weights(seen_B1SS, self.kernel_size, padding)
            map_BHSS = map_BHSS * weight_B1SS.to(map_BHSS.dtype)
            seen_B1SS = weight_B1SS > 0
        return map_BHSS


def cell_weights(seen_B1SS: Tensor, kernel_size: int, padding: int) -> Tensor:
    """One over the number of cells that a convolution's output sees; 0 where it sees none."""
    kernel = seen_B1SS.new_ones((1, 1, kernel_size, kernel_size), dtype=torch.float32)
    with torch.autocast(seen_B1SS.device.type, enabled=False):
        count = torch.round(F.conv2d(seen_B1SS.float(), kernel, padding=padding))
    return torch.where(count > 0, 1.0 / count.clamp_min(1.0), 0.0)


class S2DTAN(nn.Module):
    """Overlap of all candidates, and their classes."""

    def __init__(self, config: S2DTANConfig, in_channels: int, num_classes: int) -> None:
        """Build and initialise.

        Args:
            config: sizes.
            in_channels: C of the features.
            num_classes: K, without background.
        """
        super().__init__()
        self.config = config
        hidden = config.hidden_dim
        self.frame = nn.Conv1d(in_channels, hidden, kernel_size=1)
        self.convs = MapConvolutions(hidden, config.kernel_size, config.num_layers)
        self.overlap = nn.Linear(hidden, 1)
        self.class_frame = nn.Conv1d(in_channels, hidden, kernel_size=1)
        self.classify = nn.Linear(hidden, num_classes)
        self.register_buffer("end_Q", torch.empty(len(self.layout), dtype=torch.int64), persistent=False)
        self.register_buffer("cell_Q", torch.empty(len(self.layout), dtype=torch.int64), persistent=False)
        self.init_weights()

    @property
    def layout(self) -> CandidateLayout:
        """The candidates behind Q."""
        return layout(self.config.num_snippets)

    def init_weights(self) -> None:
        """Set every weight, and where candidates stand.

        Conv1d, Linear: uniform in +-1/sqrt(fan_in), torch's default. Conv2d: normal with deviation
        k * sqrt(2 / channels) for a kernel of k x k, bias 0. Outputs are divided by the cells that they see,
        so that this keeps the size of what passes; torch's default shrinks it by more than k a layer.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                module.reset_parameters()
            elif isinstance(module, nn.Conv2d):
                nn.init.normal_(
                    module.weight, std=self.config.kernel_size * (2.0 / module.in_channels) ** 0.5
                )
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        cells = [cells for _, cells in self.layout.maps(self.config.rearranged)]
        self.get_buffer("end_Q").copy_(torch.from_numpy(self.layout.end_Q))
        self.get_buffer("cell_Q").copy_(torch.from_numpy(np.concatenate(cells)))

    def forward(self, features_BCT: Tensor, mask_BT: Tensor | None = None) -> S2DTANOutput:
        """Score every candidate.

        Args:
            features_BCT: (B, C, T) with T = config.num_snippets.
            mask_BT: (B, T) bool, true for the first snippets of each video up to its length; None when every
                video fills the grid. Snippets beyond change nothing before them.

        Raises:
            ValueError: T is not config.num_snippets.
        """
        size = self.config.num_snippets
        if features_BCT.shape[2] != size:
            raise ValueError(
                f"num_snippets: the model was built for {size} snippets, the features have "
                f"{features_BCT.shape[2]}"
            )
        features_BCT = masked(features_BCT, mask_BT)
        end_Q, kinds = self.get_buffer("end_Q"), self.layout.kinds
        length_R1 = end_Q.new_full((1, 1), size) if mask_BT is None else mask_BT.sum(dim=1, keepdim=True)
        valid_RQ = end_Q <= length_R1
        pooled_BHQ = pooled(F.relu(self.frame(features_BCT)), kinds) * valid_RQ[:, None]
        classes_BHQ = pooled(F.relu(self.class_frame(features_BCT)), kinds)
        return S2DTANOutput(
            overlap_logits_BQ=self.overlap(self._convolved(pooled_BHQ, valid_RQ).transpose(1, 2)).squeeze(2),
            class_logits_BQK=self.classify(classes_BHQ.transpose(1, 2)),
            valid_BQ=valid_RQ.expand(len(features_BCT), -1),
        )

    def _convolved(self, pooled_BHQ: Tensor, valid_RQ: Tensor) -> Tensor:
        """(B, H, Q): every map through the same convolutions, and the candidates read from where they stood.

        Args:
            pooled_BHQ: zero where not valid.
            valid_RQ: (B, Q) or (1, Q).
        """
        outputs, begin = [], 0
        for size, cells in self.layout.maps(self.config.rearranged):
            part = slice(begin, begin + len(cells))
            cell_Q = self.get_buffer("cell_Q")[part]
            cells_BHX = pooled_BHQ.new_zeros(*pooled_BHQ.shape[:2], size * size)
            cells_BHX = torch.index_copy(cells_BHX, 2, cell_Q, pooled_BHQ[:, :, part])
            mask_RX = torch.zeros(len(valid_RQ), size * size, dtype=torch.bool, device=valid_RQ.device)
            mask_RX = torch.index_copy(mask_RX, 1, cell_Q, valid_RQ[:, part])
            cells_BHSS = cells_BHX.view(*cells_BHX.shape[:2], size, size)
            map_BHSS = self.convs(cells_BHSS, mask_RX.view(-1, size, size))
            outputs.append(map_BHSS.flatten(2).index_select(2, cell_Q))
            begin += len(cells)
        return torch.cat(outputs, dim=2)
