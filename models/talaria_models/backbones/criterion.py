"""The loss of clip classification. Letters: B batch, K classes."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from talaria_models.base import ClipOutput, guarded


class ClipCriterion:
    """Softmax cross-entropy of the backbone's own head, normalised over the global batch."""

    num_counts: int = 1
    loss_names: tuple[str, ...] = ("total", "classification")

    def __init__(self, label_smoothing: float = 0.0) -> None:
        """Keep the share of probability that is spread over all classes.

        Args:
            label_smoothing: in [0, 1); 0 trains on the hard label.

        Raises:
            ValueError: out of range.
        """
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing: expected a value in [0, 1), got {label_smoothing}")
        self.label_smoothing = label_smoothing

    def counts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """(1,) the number of clips of the micro-batch `targets["label"]`, (B,) int64."""
        label_B = targets["label"]
        return label_B.new_full((1,), label_B.shape[0]).float()

    def __call__(
        self, outputs: ClipOutput, targets: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Tensor]:
        """`classification` and `total`, equal here: summed cross-entropy over the global number of clips.

        Args:
            outputs: logits_BK are taken in float32, whatever precision the forward ran in.
            targets: `label` (B,) int64 in [0, K).
            counts: (1,) clips of the global batch.
        """
        loss = F.cross_entropy(
            outputs.logits_BK.float(),
            targets["label"],
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        loss = loss / guarded(counts[0])
        return {"classification": loss, "total": loss}
