"""Refine Network: the proposal refiner of the 2020 HACS winners.

Qing, Wang, Sang, Gao, Zhang, Sang: Temporal Fusion Network for Temporal Action Localization: Submission to
ActivityNet Challenge 2020 (Task E), 2020, section 1.3. No code was published; what the report leaves open is
decided in README.md of this folder.

Letters: B batch, C channels, T snippets, P proposals, N bins of a proposal, Q proposals of all videos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talaria_models.layers.masking import masked
from talaria_models.offsets import decode_segment
from talaria_models.refine_network.blocks import BinLSTM, EncoderLayer, NonLocal, sinusoidal_positions
from talaria_models.refine_network.config import RefineNetworkConfig
from talaria_models.refine_network.roi_align import roi_align
from talaria_models.refining import RefinedStage, RefinerOutput

OFFSET_SCALES = (0.1, 0.2)
"""Centre and log-length offsets per unit of the network's output: about the spread of those of positive
proposals, as in Fast R-CNN, so that outputs are of the order of one."""
MAX_LOG_GROWTH = math.log(1000.0 / 16.0)
"""Largest change of log-length that is applied, as in R-CNN implementations: keeps exp within range."""


@dataclass(frozen=True)
class RefineNetworkOutput(RefinerOutput):
    """Stages of one batch, one per Refine Module; segments lie in [0, 1] and are 0 at padding.

    Attributes:
        action_logits_BT: the Action Score of each snippet; None when it is switched off.
    """

    action_logits_BT: Tensor | None


class SnippetEncoder(nn.Module):
    """Two temporal convolutions, then self-attention over the whole video."""

    def __init__(self, config: RefineNetworkConfig, in_channels: int) -> None:
        super().__init__()
        hidden = config.hidden_dim
        self.positions = config.positions
        self.conv1 = nn.Conv1d(in_channels, hidden, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(hidden, hidden, kernel_size=3, padding=1)
        self.action = nn.Linear(hidden, 1) if config.action_score else None
        num_layers = config.transformer_layers if config.transformer else 0
        self.layers = nn.ModuleList(
            EncoderLayer(hidden, config.transformer_heads, config.transformer_feedforward_dim, config.dropout)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(hidden) if config.transformer else None

    def forward(self, features_BCT: Tensor, mask_BT: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Enhanced features (B, T, C) and the action score's logits (B, T), if it is on."""
        hidden_BCT = masked(F.relu(self.conv1(masked(features_BCT, mask_BT))), mask_BT)
        hidden_BTC = F.relu(self.conv2(hidden_BCT)).transpose(1, 2)
        action_BT = None if self.action is None else self.action(hidden_BTC).squeeze(2)
        if self.norm is None:
            return hidden_BTC, action_BT
        placed = self.positions == "sinusoidal"
        positions_TC = sinusoidal_positions(hidden_BTC) if placed else None
        for layer in self.layers:
            hidden_BTC = layer(hidden_BTC, positions_TC, mask_BT)
        return self.norm(hidden_BTC), action_BT


class RefineModule(nn.Module):
    """One stage of the cascade: pool each segment, look along its bins, move it and score it."""

    def __init__(self, config: RefineNetworkConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_dim
        self.lstm = BinLSTM(hidden, config.lstm_layers) if config.bi_lstm else None
        self.non_local = NonLocal(hidden) if config.non_local else None
        self.hidden = nn.Linear(config.num_bins * hidden, config.head_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.score = nn.Linear(config.head_dim, 1)
        self.offsets = nn.Linear(config.head_dim, 2)

    def forward(
        self, features_BTC: Tensor, length_B: Tensor, inputs_BP2: Tensor, valid_BP: Tensor
    ) -> RefinedStage:
        """Refine segments given as fractions of the valid snippets, in [0, 1]."""
        config = self.config
        bins_BPNC = roi_align(
            features_BTC,
            length_B,
            inputs_BP2,
            num_bins=config.num_bins,
            num_samples_per_bin=config.num_samples_per_bin,
            context_ratio=config.context_ratio,
        )
        bins_QNC = bins_BPNC.flatten(0, 1)
        # Without any proposal there is nothing to mix, and cuDNN refuses an empty batch.
        if self.lstm is not None and len(bins_QNC):
            bins_QNC = self.lstm(bins_QNC)
        if self.non_local is not None and len(bins_QNC):
            bins_QNC = self.non_local(bins_QNC)
        hidden = self.dropout(F.relu(self.hidden(bins_QNC.flatten(1)))).unflatten(0, inputs_BP2.shape[:2])
        scales_2 = torch.tensor(OFFSET_SCALES, device=inputs_BP2.device, dtype=inputs_BP2.dtype)
        offsets_BP2 = self.offsets(hidden) * scales_2
        moved_BP2 = decode_segment(inputs_BP2, offsets_BP2.detach().clamp_max(MAX_LOG_GROWTH))
        return RefinedStage(
            inputs_BP2=inputs_BP2,
            valid_BP=valid_BP,
            segments_BP2=moved_BP2.clamp(0.0, 1.0),
            score_logits_BP=self.score(hidden).squeeze(2),
            regressions={"segment": offsets_BP2},
        )


class RefineNetwork(nn.Module):
    """Snippet encoder, then Refine Modules that each start from the previous one's segments."""

    def __init__(self, config: RefineNetworkConfig, in_channels: int) -> None:
        """Build and initialise.

        Args:
            config: sizes and switches.
            in_channels: C of the features.
        """
        super().__init__()
        self.config = config
        self.encoder = SnippetEncoder(config, in_channels)
        self.refine_modules = nn.ModuleList(RefineModule(config) for _ in config.tiou_thresholds)
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight.

        Conv1d, Linear: weight and bias uniform in +-1/sqrt(fan_in); LSTM: in +-1/sqrt(units), as torch does.
        LayerNorm: weight 1, bias 0. Last layer of each non-local block and each offset layer: zero, so that
        an untrained network returns its proposals.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear | nn.LSTM | nn.LayerNorm):
                module.reset_parameters()
        for module in self.modules():
            if isinstance(module, NonLocal | RefineModule):
                last = module.output if isinstance(module, NonLocal) else module.offsets
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    def forward(
        self,
        features_BCT: Tensor,
        mask_BT: Tensor | None,
        proposals_BP2: Tensor,
        valid_BP: Tensor | None = None,
    ) -> RefineNetworkOutput:
        """Move and score every proposal.

        Args:
            features_BCT: (B, C, T), any T of at least 1.
            mask_BT: (B, T) bool, true for the first snippets of each video up to its length, at least one;
                None when every video fills the batch. Snippets beyond change nothing before them.
            proposals_BP2: (B, P, 2) start <= end as fractions of the valid snippets; clipped to [0, 1].
            valid_BP: (B, P) bool, false at padding; None when all are proposals. Any value may stand there.

        Returns:
            Logits and segments per stage; at padding segments are 0 and logits mean nothing.
        """
        features_BTC, action_BT = self.encoder(features_BCT, mask_BT)
        if mask_BT is None:
            length_B = torch.full((len(features_BCT),), features_BCT.shape[2], device=features_BCT.device)
        else:
            length_B = mask_BT.sum(dim=1)
        exact = torch.promote_types(features_BCT.dtype, torch.float32)
        segments_BP2 = proposals_BP2.to(exact).clamp(0.0, 1.0)
        if valid_BP is None:
            valid_BP = torch.ones_like(segments_BP2[..., 0], dtype=torch.bool)
        segments_BP2 = segments_BP2.masked_fill(~valid_BP[..., None], 0.0)
        stages = []
        for module in self.refine_modules:
            stages.append(module(features_BTC, length_B, segments_BP2, valid_BP))
            segments_BP2 = stages[-1].segments_BP2
        return RefineNetworkOutput(tuple(stages), action_BT)
