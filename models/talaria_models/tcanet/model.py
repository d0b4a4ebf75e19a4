"""TCANet: Temporal Context Aggregation Network for Temporal Action Proposal Refinement.

Qing, Su, Gan, Wang, Wu, Wang, Qiao, Yan, Gao, Sang, 2021, arXiv 2103.13141; 2021 report, section 2. This
version: logits in place of probabilities, videos of any length by a mask, fractions of the video in place of
seconds, all proposals of a batch sampled at once, local heads on their window only, detached cascade.

Letters: B batch, C feature channels, H hidden channels, T snippets, P proposals, S samples, N = B * P.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talaria_models.layers.local_global import LocalGlobalEncoder
from talaria_models.layers.masking import masked
from talaria_models.layers.temporal_sampling import sample_positions, span_positions, with_context
from talaria_models.offsets import decode_boundary, decode_segment
from talaria_models.refining import RefinedStage, RefinerOutput
from talaria_models.tcanet.config import TCANetConfig


class BaseModule(nn.Module):
    """Two grouped temporal convolutions before the encoders."""

    def __init__(self, config: TCANetConfig, in_channels: int) -> None:
        super().__init__()
        hidden, groups = config.hidden_dim, config.groups
        self.conv1 = nn.Conv1d(in_channels, hidden, kernel_size=3, padding=1, groups=groups)
        self.conv2 = nn.Conv1d(hidden, hidden, kernel_size=3, padding=1, groups=groups)

    def forward(self, features_BCT: Tensor, mask_BT: Tensor | None) -> Tensor:
        hidden_BHT = masked(F.relu(self.conv1(masked(features_BCT, mask_BT))), mask_BT)
        return masked(F.relu(self.conv2(hidden_BHT)), mask_BT)


class BoundaryRegressor(nn.Module):
    """Frame-level regression: one offset from the context of one boundary."""

    def __init__(self, config: TCANetConfig, num_samples: int) -> None:
        super().__init__()
        hidden, groups = config.boundary_dim, config.groups
        self.conv1 = nn.Conv1d(config.hidden_dim, hidden, kernel_size=3, stride=2, padding=1, groups=groups)
        self.conv2 = nn.Conv1d(hidden, hidden, kernel_size=3, stride=2, padding=1, groups=groups)
        self.offset = nn.Conv1d(hidden, 1, kernel_size=num_samples // 4)

    def forward(self, samples_NHS: Tensor) -> Tensor:
        hidden = F.relu(self.conv2(F.relu(self.conv1(samples_NHS))))
        offset_N: Tensor = self.offset(hidden).flatten()
        return offset_N


class SegmentRegressor(nn.Module):
    """Segment-level regression: centre, length and tIoU from the segment with both contexts."""

    def __init__(self, config: TCANetConfig) -> None:
        super().__init__()
        hidden, groups = config.segment_dim, config.groups
        num_samples = config.num_start_samples + config.num_action_samples + config.num_end_samples
        self.conv1 = nn.Conv1d(config.hidden_dim, hidden, kernel_size=3, stride=2, padding=1, groups=groups)
        self.conv2 = nn.Conv1d(hidden, hidden, kernel_size=3, stride=2, padding=1, groups=groups)
        self.mix = nn.Conv1d(hidden, hidden, kernel_size=num_samples // 4, groups=groups)
        self.output = nn.Conv1d(hidden, 3, kernel_size=1)

    def forward(self, samples_NHS: Tensor) -> Tensor:
        hidden = F.relu(self.conv2(F.relu(self.conv1(samples_NHS))))
        output_N3: Tensor = self.output(F.relu(self.mix(hidden))).squeeze(2)
        return output_N3


class TemporalBoundaryRegressor(nn.Module):
    """TBR: moves segments by the fusion of frame-level and segment-level regression and scores them."""

    def __init__(self, config: TCANetConfig) -> None:
        super().__init__()
        self.config = config
        self.start = BoundaryRegressor(config, config.num_start_samples)
        self.end = BoundaryRegressor(config, config.num_end_samples)
        self.segment = SegmentRegressor(config)

    def forward(
        self, hidden_BHT: Tensor, mask_BT: Tensor | None, segments_BP2: Tensor, valid_BP: Tensor
    ) -> RefinedStage:
        config = self.config
        samples_NHS = self._samples(hidden_BHT, mask_BT, segments_BP2)
        start_N = self.start(samples_NHS[..., : config.num_start_samples])
        end_N = self.end(samples_NHS[..., -config.num_end_samples :])
        shape = segments_BP2.shape[:2]
        boundary_BP2 = torch.stack([start_N, end_N], dim=-1).view(*shape, 2)
        output_BP3 = self.segment(samples_NHS).view(*shape, 3)
        return RefinedStage(
            inputs_BP2=segments_BP2,
            valid_BP=valid_BP,
            segments_BP2=self._moved(segments_BP2, boundary_BP2, output_BP3[..., :2]),
            score_logits_BP=output_BP3[..., 2],
            regressions={"boundary": boundary_BP2, "segment": output_BP3[..., :2]},
        )

    def _samples(self, hidden_BHT: Tensor, mask_BT: Tensor | None, segments_BP2: Tensor) -> Tensor:
        """(N, H, S) features of the starting context, the segment and the ending context, in this order."""
        config = self.config
        before_BP2, after_BP2 = with_context(segments_BP2, config.boundary_ratio)
        spans = (
            (before_BP2, config.num_start_samples),
            (segments_BP2, config.num_action_samples),
            (after_BP2, config.num_end_samples),
        )
        positions = [span_positions(span.clamp(0.0, 1.0), size, config.align_corners) for span, size in spans]
        position_BPS = torch.cat(positions, dim=-1)
        return sample_positions(
            hidden_BHT, position_BPS, mask_BT, align_corners=config.align_corners
        ).flatten(0, 1)

    def _moved(self, segments_BP2: Tensor, boundary_BP2: Tensor, segment_BP2: Tensor) -> Tensor:
        """Both regressions decoded and fused; as published, boundaries may cross."""
        config = self.config
        scale = config.training_boundary_scale if self.training else config.boundary_scale
        by_boundary = decode_boundary(segments_BP2, boundary_BP2.float(), scale)
        by_segment = decode_segment(
            segments_BP2, segment_BP2.float(), config.centre_scale, config.length_scale
        )
        return (config.fusion * by_boundary + (1.0 - config.fusion) * by_segment).clamp_min(0.0)


class TCANet(nn.Module):
    """Base module, Local-Global Temporal Encoders, a cascade of Temporal Boundary Regressors."""

    def __init__(self, config: TCANetConfig, in_channels: int) -> None:
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
        self.encoders = nn.ModuleList(
            LocalGlobalEncoder(
                config.hidden_dim,
                num_heads=config.num_heads,
                window=config.window,
                feedforward_dim=config.feedforward_dim,
                dropout=config.dropout,
                norm_eps=config.norm_eps,
            )
            for _ in range(config.num_encoders)
        )
        self.regressors = nn.ModuleList(TemporalBoundaryRegressor(config) for _ in config.thresholds)
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight.

        Conv1d: weight and bias uniform in +-1/sqrt(fan_in), torch's default, as published.
        LocalGlobalEncoder: its own table.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                module.reset_parameters()
            elif isinstance(module, LocalGlobalEncoder):
                module.init_weights()

    def forward(
        self,
        features_BCT: Tensor,
        mask_BT: Tensor | None,
        proposals_BP2: Tensor,
        valid_BP: Tensor | None = None,
    ) -> RefinerOutput:
        """Refine the proposals of a batch of videos.

        Args:
            features_BCT: (B, C, T), any T.
            mask_BT: (B, T) bool, true for the first snippets of each video up to its length, at least one;
                None when every video has T.
            proposals_BP2: (B, P, 2) start and end as fractions of the video, that is of its snippets.
            valid_BP: (B, P) bool, false at padding; None when every row is a proposal.

        Returns:
            A stage for each regressor. In training mode, with `augment_proposals`, stages after the first
            hold the proposals followed by what the first stage made of them.
        """
        hidden_BHT = self.encoded(features_BCT, mask_BT)
        proposals_BP2 = proposals_BP2.float()
        if valid_BP is None:
            valid_BP = torch.ones_like(proposals_BP2[..., 0], dtype=torch.bool)
        inputs_BP2 = proposals_BP2
        stages: list[RefinedStage] = []
        for regressor in self.regressors:
            if len(stages) == 1 and self.training and self.config.augment_proposals:
                inputs_BP2 = torch.cat([proposals_BP2, inputs_BP2], dim=1)
                valid_BP = torch.cat([valid_BP, valid_BP], dim=1)
            stages.append(regressor(hidden_BHT, mask_BT, inputs_BP2, valid_BP))
            inputs_BP2 = stages[-1].segments_BP2.detach()
        return RefinerOutput(tuple(stages))

    def encoded(self, features_BCT: Tensor, mask_BT: Tensor | None = None) -> Tensor:
        """(B, H, T) features with local and global context, zero where the mask is false."""
        hidden_BHT: Tensor = self.base(features_BCT, mask_BT)
        for encoder in self.encoders:
            hidden_BHT = encoder(hidden_BHT, mask_BT)
        return hidden_BHT
