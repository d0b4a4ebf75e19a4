"""The loss of SP-TAD, normalised by the counts of the global batch. Wu et al. 2021, section 3.2.1.

Letters: B windows, P predictions, G truths, K classes, M matched pairs.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from talaria_models.base import guarded
from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.sp_tad.matching import Assign, focal_terms, giou, matched
from talaria_models.sp_tad.model import SPTADOutput
from talaria_models.sp_tad.sparse_head import SPTADStage


class SPTADCriterion:
    """Equation 2: set prediction loss of every detection head, and that of the classification head."""

    num_counts: int = 2
    loss_names: tuple[str, ...] = ("total", "class", "l1", "giou", "clip")

    def __init__(self, config: SPTADConfig, assign: Assign) -> None:
        """Keep the settings.

        Args:
            config: weights.
            assign: `scipy.optimize.linear_sum_assignment`; given, since models import torch and numpy alone.
        """
        self.config = config
        self.assign = assign

    def counts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """(2,) float: pairs that every head's matching will have, and windows.

        Args:
            targets: stacked output of `build_targets`.
        """
        positives = targets["valid"].sum(dim=1).clamp(max=self.config.num_proposals).sum()
        return torch.stack([positives, positives.new_tensor(len(targets["valid"]))]).float()

    def __call__(
        self, outputs: SPTADOutput, targets: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Tensor]:
        """Losses `class`, `l1`, `giou` (sums over heads), `clip`, unweighted, and their weighted sum `total`.

        The first three are divided by the positives (equation 3); `clip` is a mean over windows and classes.

        Args:
            outputs: of one micro-batch.
            targets: stacked output of `build_targets`.
            counts: global sums of `counts`. Without any truth `class` is a plain sum, `l1` and `giou` are 0.

        Returns:
            Scalars in float32; over the micro-batches of a global batch they add up to its loss.
        """
        pairs = matched(outputs.stages, targets, self.config, self.assign)
        parts = [
            self._stage_losses(stage, targets, *found)
            for stage, found in zip(outputs.stages, pairs, strict=True)
        ]
        class_loss, l1, giou_loss = torch.stack(parts).sum(dim=0) / guarded(counts[0])
        clip = self._clip_loss(outputs.clip_logits_BK, targets) / guarded(counts[1])
        config = self.config
        set_loss = config.class_weight * class_loss + config.l1_weight * l1 + config.giou_weight * giou_loss
        total = set_loss + config.clip_weight * clip
        return {"total": total, "class": class_loss, "l1": l1, "giou": giou_loss, "clip": clip}

    def _stage_losses(
        self,
        stage: SPTADStage,
        targets: Mapping[str, Tensor],
        window_M: Tensor,
        prediction_M: Tensor,
        truth_M: Tensor,
    ) -> Tensor:
        """(3,) sums of focal loss, distance of boundaries and generalised tIoU loss of one head."""
        config = self.config
        positive_BPK, negative_BPK = focal_terms(
            stage.class_logits_BPK, config.focal_alpha, config.focal_gamma
        )
        wanted_BPK = torch.zeros_like(positive_BPK)
        wanted_BPK[window_M, prediction_M, targets["labels"][window_M, truth_M]] = 1.0
        class_loss = (wanted_BPK * positive_BPK + (1.0 - wanted_BPK) * negative_BPK).sum()
        segments_M2 = stage.segments_BP2[window_M, prediction_M].float()
        truths_M2 = targets["segments"][window_M, truth_M]
        l1 = (segments_M2 - truths_M2).abs().sum()
        return torch.stack([class_loss, l1, (1.0 - giou(segments_M2, truths_M2)).sum()])

    def _clip_loss(self, logits_BK: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of the classes of each window, mean over classes, summed over windows."""
        loss_BK = F.binary_cross_entropy_with_logits(logits_BK.float(), targets["classes"], reduction="none")
        return loss_BK.mean(dim=1).sum()
