"""Cross-entropy of the video classifier over the global batch, and its Batch Nuclear-norm term.

Letters: B batch, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from talaria_models.base import guarded
from talaria_models.classifier.model import ClassifierOutput
from talaria_models.layers.nuclear_norm import batch_nuclear_norm


class ClassifierCriterion:
    """Cross-entropy with soft targets, averaged over the labelled videos.

    With `bnm_weight` above 0 minus the nuclear norm of the class probabilities of each micro-batch's labelled
    videos joins it, over the same count. Cross-entropy does not depend on how a global batch is cut, that
    term does: it follows the recipe's micro-batches, and thus not the number of workers.
    """

    num_counts: int = 1

    def __init__(self, bnm_weight: float = 0.0) -> None:
        """Keep the weight of the Batch Nuclear-norm term; `ClassifierConfig` checks its range."""
        self.bnm_weight = bnm_weight
        self.loss_names: tuple[str, ...] = ("total", "classification", "bnm") if bnm_weight else ("total",)

    def counts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """(1,) float: videos with at least one class."""
        return _labelled(targets).sum().float().reshape(1)

    def __call__(
        self, outputs: ClassifierOutput, targets: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Tensor]:
        """`total`: this micro-batch's share of the loss; zero without labelled videos.

        With a Batch Nuclear-norm term also its parts: `classification`, and `bnm` in [-1, 0], unweighted.
        """
        log_BK = torch.log_softmax(outputs.logits_BK.float(), dim=1)
        classification = -(targets["classes"] * log_BK).sum() / guarded(counts[0])
        if not self.bnm_weight:
            return {"total": classification}
        bnm = -batch_nuclear_norm(outputs.logits_BK[_labelled(targets)]) / guarded(counts[0])
        total = classification + self.bnm_weight * bnm
        return {"total": total, "classification": classification, "bnm": bnm}


def _labelled(targets: Mapping[str, Tensor]) -> Tensor:
    """(B,) bool: videos with at least one class."""
    return (targets["classes"] > 0).any(dim=1)
