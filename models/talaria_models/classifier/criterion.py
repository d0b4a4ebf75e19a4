"""Cross-entropy of the video classifier over the global batch.

Letters: B batch, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from talaria_models.base import guarded
from talaria_models.classifier.model import ClassifierOutput


class ClassifierCriterion:
    """Cross-entropy with soft targets, averaged over the labelled videos."""

    num_counts: int = 1
    loss_names: tuple[str, ...] = ("total",)

    def counts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """(1,) float: videos with at least one class."""
        return (targets["classes"] > 0).any(dim=1).sum().float().reshape(1)

    def __call__(
        self, outputs: ClassifierOutput, targets: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Tensor]:
        """`total`, the mean cross-entropy's share of this micro-batch; zero without labelled videos."""
        log_BK = torch.log_softmax(outputs.logits_BK.float(), dim=1)
        return {"total": -(targets["classes"] * log_BK).sum() / guarded(counts[0])}
