"""The loss of clip classification and its Batch Nuclear-norm term. Letters: B batch, K classes."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from talaria_models.base import ClipOutput, guarded
from talaria_models.layers.nuclear_norm import batch_nuclear_norm


class ClipCriterion:
    """Softmax cross-entropy of the backbone's own head, normalised over the global batch.

    With `bnm_weight` above 0 minus the nuclear norm of each micro-batch's class probabilities, background
    among the classes, joins it over the same count, as in the 2020 winners' report (arXiv 2006.07520, section
    1.1). That term follows the recipe's micro-batches, and thus not the number of workers.
    """

    num_counts: int = 1

    def __init__(self, label_smoothing: float = 0.0, bnm_weight: float = 0.0) -> None:
        """Keep the settings.

        Args:
            label_smoothing: share of probability that is spread over all classes, in [0, 1); 0 trains on the
                hard label.
            bnm_weight: weight of the Batch Nuclear-norm term, finite and at least 0; 0 leaves it out.

        Raises:
            ValueError: out of range.
        """
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing: expected a value in [0, 1), got {label_smoothing}")
        if not 0.0 <= bnm_weight < float("inf"):
            raise ValueError(f"bnm_weight: expected a finite number of at least 0, got {bnm_weight}")
        self.label_smoothing, self.bnm_weight = label_smoothing, bnm_weight
        names = ("total", "classification")
        self.loss_names: tuple[str, ...] = (*names, "bnm") if bnm_weight else names

    def counts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """(1,) the number of clips of the micro-batch `targets["label"]`, (B,) int64."""
        label_B = targets["label"]
        return label_B.new_full((1,), label_B.shape[0]).float()

    def __call__(
        self, outputs: ClipOutput, targets: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Tensor]:
        """`classification`, summed cross-entropy over the global number of clips, and the `total`.

        Without a Batch Nuclear-norm term they are equal; with one `bnm` joins them, in [-1, 0], unweighted.

        Args:
            outputs: logits_BK are taken in float32, whatever precision the forward ran in.
            targets: `label` (B,) int64 in [0, K).
            counts: (1,) clips of the global batch.
        """
        classification = F.cross_entropy(
            outputs.logits_BK.float(),
            targets["label"],
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        classification = classification / guarded(counts[0])
        if not self.bnm_weight:
            return {"classification": classification, "total": classification}
        bnm = -batch_nuclear_norm(outputs.logits_BK) / guarded(counts[0])
        total = classification + self.bnm_weight * bnm
        return {"classification": classification, "bnm": bnm, "total": total}
