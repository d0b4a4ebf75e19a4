"""BMN: Boundary-Matching Network for Temporal Action Proposal Generation.

Lin, Liu, Li, Ding, Wen, 2019, arXiv 1907.09702. This version: logits in place of probabilities, boundary
matching without the dense mask (`layers/boundary_matching.py`), map convolutions without the empty triangle
(`layers/triangle_convolution.py`), videos shorter than the grid by a mask, and one canonical map orientation
whatever the published layout of the weights.

Letters: B batch, C channels, T snippets, D durations, M map channels (0 regression, 1 classification),
P candidate segments inside the video, H hidden channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from talaria_models.bmn.config import BMNConfig
from talaria_models.layers.boundary_matching import BoundaryMatching
from talaria_models.layers.candidate_sampling import SamplingGrid, convert_axes
from talaria_models.layers.local_global import LocalGlobalEncoder
from talaria_models.layers.masking import masked
from talaria_models.layers.triangle_convolution import convolve_triangle


@dataclass(frozen=True)
class BMNOutput:
    """Logits of one batch.

    Attributes:
        start_logits_BT, end_logits_BT: startness and endness of each snippet.
        map_logits_BMDT: confidence of segment [t, t + d + 1) at duration row d, start column t; channel 0 is
            the tIoU regression, channel 1 the classification. Cells with t + d + 1 > T lie outside the video
            and mean nothing, unless they were asked for.
    """

    start_logits_BT: Tensor
    end_logits_BT: Tensor
    map_logits_BMDT: Tensor


class BidirectionalLSTM(nn.Module):
    """LSTM along the snippets of each video in both directions, added to its input.

    The 2020 winners add it to the base module without saying how (report, section 1.2); half the channels in
    each direction and the sum with the input are ours.
    """

    def __init__(self, channels: int, num_layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels // 2, num_layers, batch_first=True, bidirectional=True)

    def forward(self, hidden_BHT: Tensor, mask_BT: Tensor | None) -> Tensor:
        """(B, H, T); zero where the mask is false. The mask is true for the first snippets of each video."""
        hidden_BTH = hidden_BHT.transpose(1, 2)
        if mask_BT is None:
            context_BTH: Tensor = self.lstm(hidden_BTH)[0]
            return hidden_BHT + context_BTH.transpose(1, 2)
        # Packed, so that the direction from the end starts at the end of each video.
        packed = pack_padded_sequence(hidden_BTH, mask_BT.sum(dim=1).cpu(), True, enforce_sorted=False)
        context_BTH, _ = pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, total_length=mask_BT.shape[1]
        )
        return hidden_BHT + context_BTH.transpose(1, 2)


class BaseModule(nn.Module):
    """Two grouped temporal convolutions shared by both evaluation modules, then what sees further.

    Order of the optional parts: encoders, which have local heads of their own and keep the convolutions'
    resolution, then the LSTM; the reports use one or the other.
    """

    def __init__(self, config: BMNConfig, in_channels: int) -> None:
        super().__init__()
        hidden, groups = config.hidden_dim_1d, config.groups
        self.conv1 = nn.Conv1d(in_channels, hidden, kernel_size=3, padding=1, groups=groups)
        self.conv2 = nn.Conv1d(hidden, hidden, kernel_size=3, padding=1, groups=groups)
        self.encoders = nn.ModuleList(
            LocalGlobalEncoder(hidden, num_heads=config.lgte_heads, window=config.lgte_window)
            for _ in range(config.lgte_layers)
        )
        self.lstm = BidirectionalLSTM(hidden, config.lstm_layers) if config.lstm_layers else None

    def forward(self, features_BCT: Tensor, mask_BT: Tensor | None) -> Tensor:
        hidden_BHT = masked(F.relu(self.conv1(features_BCT)), mask_BT)
        hidden_BHT = masked(F.relu(self.conv2(hidden_BHT)), mask_BT)
        for encoder in self.encoders:
            hidden_BHT = encoder(hidden_BHT, mask_BT)
        return hidden_BHT if self.lstm is None else self.lstm(hidden_BHT, mask_BT)


class BoundaryHead(nn.Module):
    """One boundary probability per snippet; TEM holds one for starts and one for ends."""

    def __init__(self, config: BMNConfig) -> None:
        super().__init__()
        hidden = config.hidden_dim_1d
        self.conv = nn.Conv1d(hidden, hidden, kernel_size=3, padding=1, groups=config.groups)
        self.score = nn.Conv1d(hidden, 1, kernel_size=1)

    def forward(self, base_BHT: Tensor) -> Tensor:
        logits_BT: Tensor = self.score(F.relu(self.conv(base_BHT))).squeeze(1)
        return logits_BT


class ProposalEvaluation(nn.Module):
    """PEM: confidences of all candidate segments from their matched samples."""

    def __init__(self, config: BMNConfig) -> None:
        super().__init__()
        self.axes = config.sampling
        self.conv = nn.Conv1d(config.hidden_dim_1d, config.hidden_dim_1d, kernel_size=3, padding=1)
        grid = SamplingGrid(
            num_snippets=config.num_snippets,
            num_samples=config.num_samples,
            num_samples_per_bin=config.num_samples_per_bin,
            boundary_ratio=config.boundary_ratio,
            axes=config.sampling,
        )
        self.matching = BoundaryMatching(grid, config.hidden_dim_1d, config.hidden_dim_3d)
        hidden = config.hidden_dim_2d
        self.reduce = nn.Linear(config.hidden_dim_3d, hidden)
        self.map_conv1 = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1)
        self.map_conv2 = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1)
        self.score = nn.Conv2d(hidden, 2, kernel_size=1)

    def forward(self, base_BHT: Tensor, mask_BT: Tensor | None, outside: bool) -> Tensor:
        features_BHT = masked(F.relu(self.conv(base_BHT)), mask_BT)
        map_BHXY = self._matched_map(features_BHT, mask_BT)
        square_BXY = None if mask_BT is None else mask_BT[:, :, None] & mask_BT[:, None, :]
        margins = (map_BHXY.shape[-1],) * 2 if outside else (1, 0)
        for conv, margin in zip((self.map_conv1, self.map_conv2), margins, strict=True):
            assert conv.bias is not None
            map_BHXY = convolve_triangle(map_BHXY, conv.weight, conv.bias, self.axes, margin, square_BXY)
        return convert_axes(self.score(map_BHXY), self.axes, "duration_start")

    def _matched_map(self, features_BHT: Tensor, mask_BT: Tensor | None) -> Tensor:
        """Rectified reduced vectors laid out as a map (B, H, X, Y) in the axes of the weights.

        Cells outside the video share the vector of an all-zero sample: it is computed once.
        """
        matching = self.matching
        size = matching.grid.num_snippets
        rows_BPH = F.relu(matching(features_BHT, self.reduce))
        outside_H = F.relu(matching.outside(self.reduce)).to(rows_BPH.dtype)
        if mask_BT is not None:
            inside_BP = mask_BT[:, matching.start_P + matching.duration_P]
            rows_BPH = torch.where(inside_BP[:, :, None], rows_BPH, outside_H)
        cells_BQH = outside_H.expand(len(rows_BPH), size * size, -1)
        cells_BQH = torch.index_copy(cells_BQH, 1, matching.cell_P, rows_BPH)
        return cells_BQH.view(len(rows_BPH), size, size, -1).permute(0, 3, 1, 2)


class BMN(nn.Module):
    """Boundary-Matching Network: base module, temporal evaluation, proposal evaluation."""

    def __init__(self, config: BMNConfig, in_channels: int) -> None:
        """Build and initialise.

        Args:
            config: sizes and conventions.
            in_channels: C of the features.

        Raises:
            ValueError: the groups do not divide in_channels.
        """
        super().__init__()
        if in_channels % config.groups:
            raise ValueError(
                f"groups: found {config.groups}, expected a divisor of the {in_channels} feature channels"
            )
        self.config = config
        self.base = BaseModule(config, in_channels)
        self.start = BoundaryHead(config)
        self.end = BoundaryHead(config)
        self.proposals = ProposalEvaluation(config)
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight.

        Conv1d, Conv2d, Linear: weight and bias uniform in +-1/sqrt(fan_in), torch's default, as published.
        LSTM: uniform in +-1/sqrt(units of a direction), torch's default.
        BoundaryMatching: as Conv1d for its mixing weights, and its sampling structure.
        LocalGlobalEncoder: its own table.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear | nn.LSTM):
                module.reset_parameters()
            elif isinstance(module, BoundaryMatching):
                module.init_weights()
        # After their linear layers, which the loop above has reset.
        for module in self.modules():
            if isinstance(module, LocalGlobalEncoder):
                module.init_weights()

    def forward(
        self, features_BCT: Tensor, mask_BT: Tensor | None = None, *, outside: bool = False
    ) -> BMNOutput:
        """Score every snippet and every candidate segment.

        Args:
            features_BCT: (B, C, T) with T = config.num_snippets.
            mask_BT: (B, T) bool, true for the first snippets of each video up to its length; None when every
                video fills the grid. Snippets beyond change nothing before them.
            outside: compute the published numbers of map cells outside the video, too, which takes longer
                and changes nothing inside.

        Returns:
            Logits; those of masked snippets, and of segments that reach into them, mean nothing.

        Raises:
            ValueError: T is not config.num_snippets.
        """
        if features_BCT.shape[2] != self.config.num_snippets:
            raise ValueError(
                f"num_snippets: the model was built for {self.config.num_snippets} snippets, "
                f"the features have {features_BCT.shape[2]}"
            )
        base_BHT = self.base(masked(features_BCT, mask_BT), mask_BT)
        return BMNOutput(
            start_logits_BT=self.start(base_BHT),
            end_logits_BT=self.end(base_BHT),
            map_logits_BMDT=self.proposals(base_BHT, mask_BT, outside),
        )
