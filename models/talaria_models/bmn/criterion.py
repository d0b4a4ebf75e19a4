"""The loss of BMN, normalised by the counts of the global batch.

Lin et al. 2019, arXiv 1907.09702, "Training of BMN". Differs in: the published code draws a random part of
the middle and low tIoU cells for the regression; here each such cell carries the chance of being drawn as its
weight, which has the same mean, no randomness, and does not depend on how a batch is cut.

Letters: B batch, T snippets, D durations, M map channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from talaria_models.base import guarded
from talaria_models.bmn.config import BMNConfig
from talaria_models.bmn.model import BMNOutput

BOUNDARY_THRESHOLD = 0.5
HIGH_TIOU = 0.7
LOW_TIOU = 0.3
POSITIVE_TIOU = 0.9
LOG_GUARD = {"jjboy": 1e-6, "mmaction2": 1e-5}
RATIO_RANGE = (1.05, 21.0)
"""Range of entries per positive in the mmaction2 convention."""


class BMNCriterion:
    """Sum of the boundary loss, the regression loss and the classification loss."""

    num_counts: int = 8
    loss_names: tuple[str, ...] = ("total", "tem", "pem_reg", "pem_cls")

    def __init__(self, config: BMNConfig) -> None:
        self.config = config

    def counts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """Sums over one micro-batch.

        Args:
            targets: stacked output of `build_targets`.

        Returns:
            (8,) float: snippets, positive starts, positive ends, cells of high, middle and low tIoU, positive
            cells, cells inside the videos.
        """
        iou_BDT = targets["iou"]
        high, middle, low = tiou_bands(iou_BDT)
        sums = [
            targets["valid"].sum(),
            (targets["start"] > BOUNDARY_THRESHOLD).sum(),
            (targets["end"] > BOUNDARY_THRESHOLD).sum(),
            high.sum(),
            middle.sum(),
            low.sum(),
            (iou_BDT > POSITIVE_TIOU).sum(),
            inside_map(targets["valid"]).sum(),
        ]
        return torch.stack(sums).float()

    def __call__(
        self, outputs: BMNOutput, targets: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Tensor]:
        """Losses `tem`, `pem_reg`, `pem_cls` (unweighted) and their weighted sum `total`.

        Args:
            outputs: logits of one micro-batch.
            targets: stacked output of `build_targets`.
            counts: global sums of `counts`. Without positives the terms that need them are zero.

        Returns:
            Scalars in float32; over the micro-batches of a global batch they add up to its loss.
        """
        weights_BDT, total_weight = regression_weights(targets["iou"], counts)
        tem = self.boundary_loss(outputs, targets, counts)
        reg = regression_loss(outputs.map_logits_BMDT[:, 0], targets["iou"], weights_BDT, total_weight)
        cls = self.classification_loss(outputs.map_logits_BMDT[:, 1], targets, counts)
        config = self.config
        total = config.tem_weight * tem + config.regression_weight * reg + config.classification_weight * cls
        return {"total": total, "tem": tem, "pem_reg": reg, "pem_cls": cls}

    def boundary_loss(self, outputs: BMNOutput, targets: Mapping[str, Tensor], counts: Tensor) -> Tensor:
        """Balanced cross-entropy of startness plus that of endness."""
        snippets, starts, ends = counts[:3]
        valid_BT = targets["valid"]
        start_positive_BT = targets["start"] > BOUNDARY_THRESHOLD
        end_positive_BT = targets["end"] > BOUNDARY_THRESHOLD
        start = self._balanced(outputs.start_logits_BT, start_positive_BT, valid_BT, starts, snippets)
        end = self._balanced(outputs.end_logits_BT, end_positive_BT, valid_BT, ends, snippets)
        return start + end

    def classification_loss(
        self, logits_BDT: Tensor, targets: Mapping[str, Tensor], counts: Tensor
    ) -> Tensor:
        """Balanced cross-entropy of the cells: positive above a tIoU of 0.9."""
        positive_BDT = targets["iou"] > POSITIVE_TIOU
        inside_BDT = inside_map(targets["valid"])
        return self._balanced(logits_BDT, positive_BDT, inside_BDT, counts[6], counts[7])

    def _balanced(
        self, logits: Tensor, positive: Tensor, valid: Tensor, num_positive: Tensor, num_entries: Tensor
    ) -> Tensor:
        """Cross-entropy in which positives and negatives weigh by the convention, whatever their numbers."""
        guard = LOG_GUARD[self.config.convention]
        positive_weight, negative_weight = self._class_weights(num_positive, num_entries)
        logits = logits.float()
        gain = torch.log(torch.sigmoid(logits) + guard) * positive
        loss = torch.log(torch.sigmoid(-logits) + guard) * (valid & ~positive)
        return -(positive_weight * gain.sum() + negative_weight * loss.sum())

    def _class_weights(self, num_positive: Tensor, num_entries: Tensor) -> tuple[Tensor, Tensor]:
        """Weight of one positive and of one negative.

        `jjboy` gives both classes one half in total; `mmaction2` does so while the entries per positive stay
        in `RATIO_RANGE`, and weakens the rarer class beyond it.
        """
        if self.config.convention == "jjboy":
            return 0.5 / guarded(num_positive), 0.5 / guarded(num_entries - num_positive)
        ratio = torch.clamp(num_entries / guarded(num_positive), *RATIO_RANGE)
        entries = guarded(num_entries)
        return 0.5 * ratio / entries, 0.5 * ratio / (ratio - 1.0) / entries


def inside_map(valid_BT: Tensor) -> Tensor:
    """(B, D, T) bool: segment [t, t + d + 1) ends within the valid snippets."""
    size = valid_BT.shape[1]
    snippet = torch.arange(size, device=valid_BT.device)
    length_B = valid_BT.sum(dim=1)
    return (snippet[:, None] + snippet[None, :]) < length_B[:, None, None]


def tiou_bands(iou: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Masks of high (> 0.7), middle (> 0.3) and low (> 0) tIoU; cells without overlap are in none."""
    high = iou > HIGH_TIOU
    middle = (iou > LOW_TIOU) & ~high
    low = (iou > 0.0) & ~(iou > LOW_TIOU)
    return high, middle, low


def regression_weights(iou_BDT: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Expected weight of each cell when middle and low cells are drawn to match the number of high ones.

    Args:
        iou_BDT: (B, D, T) target tIoU, zero outside the videos.
        counts: global sums as `BMNCriterion.counts` orders them.

    Returns:
        (B, D, T) weights in [0, 1] and their global sum, a scalar. A band with fewer cells than the high one
        is used in full; the published code then also "draws" cells outside the band, which is not imitated.
    """
    num_high, num_middle, num_low = counts[3:6]
    high, middle, low = tiou_bands(iou_BDT)
    middle_share = torch.clamp(num_high / guarded(num_middle), max=1.0)
    low_share = torch.clamp(num_high / guarded(num_low), max=1.0)
    weights_BDT = high.float() + middle * middle_share + low * low_share
    return weights_BDT, num_high + torch.minimum(num_middle, num_high) + torch.minimum(num_low, num_high)


def regression_loss(logits_BDT: Tensor, iou_BDT: Tensor, weights_BDT: Tensor, total_weight: Tensor) -> Tensor:
    """Half the weighted mean squared error of the regressed tIoU.

    Args:
        logits_BDT, iou_BDT: (B, D, T) channel 0 of the map and its target.
        weights_BDT: (B, D, T) weight of each cell, expected or drawn.
        total_weight: sum of the weights over the global batch; zero gives a loss of zero.
    """
    error_BDT = torch.sigmoid(logits_BDT.float()) - iou_BDT
    return 0.5 * (weights_BDT * error_BDT.square()).sum() / guarded(total_weight)
