"""The loss of the Refine Network, normalised by the counts of the global batch.

Qing et al. 2020, section 1.3, states what is supervised and the tIoU thresholds of the modules; forms and
weights of the losses are ours (README.md).

Letters: B batch, T snippets, P proposals.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from talaria_models.base import guarded
from talaria_models.offsets import encode_segment
from talaria_models.refine_network.config import RefineNetworkConfig
from talaria_models.refine_network.model import OFFSET_SCALES, RefineNetworkOutput
from talaria_models.refining import RefinedStage
from talaria_models.refining_loss import matched_tiou

ACTION_SHARE = 0.5
"""A snippet counts as action when a truth covers more than this share of it."""
HIGH_TIOU = 0.7
LOW_TIOU = 0.3
SHORTEST_FRAC = 1e-7
"""Shortest length and smallest union, as a fraction of the video; guards divisions."""


class RefineNetworkCriterion:
    """Action loss, and per module a tIoU loss and an offset loss."""

    num_counts: int = 5
    loss_names: tuple[str, ...] = ("total", "action", "score", "offsets")

    def __init__(self, config: RefineNetworkConfig) -> None:
        self.config = config

    def counts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """Sums over one micro-batch.

        Args:
            targets: stacked output of `build_targets`, padded with zeros.

        Returns:
            (5,) float: action snippets, other snippets, proposals of high, middle and low tIoU.
        """
        positive_BT, negative_BT = action_classes(targets)
        bands = tiou_bands(targets)
        return torch.stack([mask.sum() for mask in (positive_BT, negative_BT, *bands)]).float()

    def __call__(
        self, outputs: RefineNetworkOutput, targets: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Tensor]:
        """Losses `action`, `score`, `offsets` (unweighted, modules added) and their weighted sum `total`.

        Args:
            outputs: what the model said of one micro-batch, given its `proposals` and `valid`.
            targets: stacked output of `build_targets`, padded with zeros.
            counts: global sums of `counts`; terms whose counts are zero are zero.

        Returns:
            Scalars in float32; over the micro-batches of a global batch they add up to its loss.
        """
        weights_BP = proposal_weights(targets, counts)
        action = self._action_loss(outputs.action_logits_BT, targets, counts)
        score, offsets = torch.zeros_like(action), torch.zeros_like(action)
        for stage, threshold in zip(outputs.stages, self.config.tiou_thresholds, strict=True):
            stage_score, stage_offsets = stage_losses(stage, targets["truth"], weights_BP, threshold)
            score, offsets = score + stage_score, offsets + stage_offsets
        config = self.config
        total = config.action_weight * action + config.score_weight * score + config.offset_weight * offsets
        return {"total": total, "action": action, "score": score, "offsets": offsets}

    def _action_loss(self, logits_BT: Tensor | None, targets: Mapping[str, Tensor], counts: Tensor) -> Tensor:
        """Cross-entropy in which action and other snippets weigh one half each, whatever their numbers."""
        if logits_BT is None:
            return counts.new_zeros(())
        positive_BT, negative_BT = action_classes(targets)
        weight_BT = 0.5 * (positive_BT / guarded(counts[0]) + negative_BT / guarded(counts[1]))
        loss_BT = F.binary_cross_entropy_with_logits(logits_BT.float(), positive_BT.float(), reduction="none")
        return (weight_BT * loss_BT).sum()


def action_classes(targets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(B, T) masks of snippets inside and outside of the truths; padding is in neither."""
    inside_BT = targets["action"] > ACTION_SHARE
    return inside_BT & targets["snippet_valid"], ~inside_BT & targets["snippet_valid"]


def tiou_bands(targets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """(B, P) masks of proposals of high (> 0.7), middle (> 0.3) and low tIoU; padding is in none."""
    tiou_BP, valid_BP = targets["tiou"], targets["valid"]
    high_BP = (tiou_BP > HIGH_TIOU) & valid_BP
    middle_BP = (tiou_BP > LOW_TIOU) & valid_BP & ~high_BP
    return high_BP, middle_BP, valid_BP & ~high_BP & ~middle_BP


def proposal_weights(targets: Mapping[str, Tensor], counts: Tensor) -> Tensor:
    """Weight of each proposal in every module: the bands that occur share the loss evenly.

    This is the mean over draws of as many proposals from each band, without the randomness. The weights
    follow the proposals as they came, so that they are known before any module has run.

    Args:
        targets: stacked targets of one micro-batch.
        counts: global sums as `RefineNetworkCriterion.counts` orders them.

    Returns:
        (B, P), which sum to 1 over the global batch; 0 at padding.
    """
    sizes = counts[2:5]
    share = 1.0 / guarded((sizes > 0).sum())
    bands = tiou_bands(targets)
    return torch.stack([band * share / guarded(size) for band, size in zip(bands, sizes, strict=True)]).sum(0)


def stage_losses(
    stage: RefinedStage, truth_BP2: Tensor, weights_BP: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """Weighted tIoU loss of all inputs and offset loss of the positive ones, for one module.

    Args:
        stage: the module's output.
        truth_BP2: (B, P, 2) the truth that each proposal was matched to, in fractions.
        weights_BP: (B, P) weight of each proposal.
        threshold: tIoU from which an input is positive.

    Returns:
        Half the squared error of the predicted tIoU, and the smooth L1 distance of the scaled offsets.
    """
    inputs_BP2 = stage.inputs_BP2.float()
    tiou_BP = matched_tiou(inputs_BP2, truth_BP2, SHORTEST_FRAC)
    error_BP = torch.sigmoid(stage.score_logits_BP.float()) - tiou_BP
    wanted_BP2 = encode_segment(inputs_BP2, truth_BP2, SHORTEST_FRAC)
    scales_2 = wanted_BP2.new_tensor(OFFSET_SCALES)
    distance_BP2 = F.smooth_l1_loss(
        stage.regressions["segment"].float() / scales_2, wanted_BP2 / scales_2, reduction="none"
    )
    regressed_BP = weights_BP * (tiou_BP >= threshold)
    return 0.5 * (weights_BP * error_BP.square()).sum(), (regressed_BP[..., None] * distance_BP2).sum()
