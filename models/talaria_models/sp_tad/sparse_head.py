"""The action detection head: proposals look at one another, then each at its own segment of the pyramid.

Wu et al. 2021, section 3.1.3 and figure 3; what it leaves open follows Sparse R-CNN (Sun et al. 2021, arXiv
2011.12450), whose dynamic instance interaction this is along time.

Letters: B windows, P proposals, D channels, E channels inside of the interaction (d_h), N aligned places, K
classes, Q proposals of all windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from talaria_models.offsets import decode_segment
from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.sp_tad.soi_align import FlatPyramid, soi_align

CENTRE_SCALE = 0.5
"""Centre offset, in lengths, per unit of the network's output: Sparse R-CNN's weights of 2 and 1."""
MAX_LOG_STRETCH = math.log(1000.0 / 16.0)
"""Largest change of the logarithm of a length in one head, as in R-CNN implementations."""


@dataclass(frozen=True)
class SPTADStage:
    """What one detection head says of a batch.

    Attributes:
        segments_BP2: start <= end, fractions of the window; they may leave [0, 1].
        class_logits_BPK: logit of each class, on its own.
    """

    segments_BP2: Tensor
    class_logits_BPK: Tensor


class SparseInteraction(nn.Module):
    """SIM: features of a segment pass two layers whose weights come from the proposal's feature."""

    def __init__(self, config: SPTADConfig) -> None:
        super().__init__()
        hidden, inner = config.hidden_dim, config.dynamic_dim
        self.inner = inner
        self.parameters_of = nn.Linear(hidden, 2 * hidden * inner)
        self.norm_inner = nn.LayerNorm(inner)
        self.norm_outer = nn.LayerNorm(hidden)
        self.output = nn.Linear(config.num_bins * hidden, hidden)
        self.norm_output = nn.LayerNorm(hidden)

    def forward(self, features_QD: Tensor, soi_QND: Tensor) -> Tensor:
        """(Q, D) segment features."""
        reducing_QX, expanding_QX = self.parameters_of(features_QD).chunk(2, dim=1)
        reducing_QDE = reducing_QX.unflatten(1, (-1, self.inner))
        expanding_QED = expanding_QX.unflatten(1, (self.inner, -1))
        inner_QNE = F.relu(self.norm_inner(soi_QND @ reducing_QDE))
        outer_QND = F.relu(self.norm_outer(inner_QNE @ expanding_QED))
        return F.relu(self.norm_output(self.output(outer_QND.flatten(1))))


class DetectionHead(nn.Module):
    """One stage of the refinement: attention, sparse interaction, feed-forward, two branches."""

    def __init__(self, config: SPTADConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_dim
        self.attention = nn.MultiheadAttention(
            hidden, config.attention_heads, config.dropout, batch_first=True
        )
        self.norm_attention = nn.LayerNorm(hidden)
        self.interaction = SparseInteraction(config)
        self.norm_interaction = nn.LayerNorm(hidden)
        self.expand = nn.Linear(hidden, config.feedforward_dim)
        self.reduce = nn.Linear(config.feedforward_dim, hidden)
        self.norm_feedforward = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.classify = nn.Linear(hidden, num_classes)
        self.regress = nn.Sequential(
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 2)
        )

    def forward(
        self, features_BPD: Tensor, segments_BP2: Tensor, pyramid: FlatPyramid
    ) -> tuple[SPTADStage, Tensor]:
        """Refined proposals.

        Args:
            features_BPD: proposal features.
            segments_BP2: proposal segments, fractions of the window, at least float32.
            pyramid: levels of the window.

        Returns:
            The head's predictions, and the features that its successor takes.
        """
        config = self.config
        soi_BPND = soi_align(
            pyramid,
            segments_BP2,
            expansion=config.expansion,
            num_bins=config.num_bins,
            num_samples_per_bin=config.num_samples_per_bin,
        )
        features_BPD = self._features(features_BPD, soi_BPND)
        offsets_BP2 = self.regress(features_BPD).to(segments_BP2.dtype)
        offsets_BP2 = offsets_BP2.clamp(-MAX_LOG_STRETCH, MAX_LOG_STRETCH)
        moved_BP2 = decode_segment(segments_BP2, offsets_BP2, centre_scale=CENTRE_SCALE)
        return SPTADStage(moved_BP2, self.classify(features_BPD)), features_BPD

    def _features(self, features_BPD: Tensor, soi_BPND: Tensor) -> Tensor:
        """(B, P, D) segment representations; each part is added to its input and then normalised."""
        mixed_BPD = self.attention(features_BPD, features_BPD, features_BPD, need_weights=False)[0]
        features_BPD = self.norm_attention(features_BPD + self.dropout(mixed_BPD))
        found_QD = self.interaction(features_BPD.flatten(0, 1), soi_BPND.flatten(0, 1))
        features_BPD = self.norm_interaction(features_BPD + self.dropout(found_QD.view_as(features_BPD)))
        inner = self.dropout(F.relu(self.expand(features_BPD)))
        result: Tensor = self.norm_feedforward(features_BPD + self.dropout(self.reduce(inner)))
        return result
