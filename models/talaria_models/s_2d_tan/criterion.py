"""The loss of S-2D-TAN, normalised by the counts of the global batch.

2019 winners' report, sections 1.2 and 1.3.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from talaria_models.base import guarded
from talaria_models.s_2d_tan.model import S2DTANOutput
from talaria_models.s_2d_tan.targets import NO_CLASS


class S2DTANCriterion:
    """Cross-entropy of the scaled overlap over valid candidates, plus that of the classifier.

    The two have no weight of the network in common.
    """

    num_counts: int = 2
    loss_names: tuple[str, ...] = ("total", "overlap", "class")

    def counts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """(2,) float: valid candidates, and those with a class."""
        return torch.stack([targets["valid"].sum(), (targets["label"] != NO_CLASS).sum()]).float()

    def __call__(
        self, outputs: S2DTANOutput, targets: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Tensor]:
        """Losses `overlap`, `class` and their sum `total`, float32 scalars.

        Args:
            outputs: logits of one micro-batch.
            targets: stacked output of `build_targets`.
            counts: global sums of `counts`; a class loss without samples is zero.
        """
        overlap_BQ = F.binary_cross_entropy_with_logits(
            outputs.overlap_logits_BQ.float(), targets["overlap"], reduction="none"
        )
        overlap = (overlap_BQ * targets["valid"]).sum() / guarded(counts[0])
        class_loss = F.cross_entropy(
            outputs.class_logits_BQK.float().flatten(0, 1),
            targets["label"].flatten(),
            ignore_index=NO_CLASS,
            reduction="sum",
        ) / guarded(counts[1])
        return {"total": overlap + class_loss, "overlap": overlap, "class": class_loss}
