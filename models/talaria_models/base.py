"""What the platform expects of every model, its criterion and its outputs.

Shape letters: B batch, C channels, T snippets, L frames of a clip, H, W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class ClipOutput:
    """What a backbone returns for a batch of clips.

    Attributes:
        features_BC: pooled features, the vector that is stored for a snippet.
        logits_BK: class logits of the backbone's own head; when it was fine-tuned with a background
            class that class is the LAST column.
    """

    features_BC: Tensor
    logits_BK: Tensor


class Loss(Protocol):
    """A loss whose value does not depend on how a global batch is cut into micro-batches or workers.

    Attributes:
        num_counts: length of the counts that normalise it.
        loss_names: keys of what a call returns, `total` among them; workers without a micro-batch need them.
    """

    num_counts: int
    loss_names: tuple[str, ...]

    def __call__(self, outputs: Any, targets: Mapping[str, Tensor], counts: Tensor) -> dict[str, Tensor]:
        """Named scalar losses and their `total`; summed over micro-batches they give the global loss.

        Args:
            outputs: the model's output for one micro-batch.
            targets: what the dataset returned for it, stacked.
            counts: the global sums; a count of zero must give a finite loss.
        """
        ...


class Criterion(Loss, Protocol):
    """A loss whose counts are known from the targets alone."""

    def counts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """Sums over one micro-batch that normalise the loss, as a 1-D float tensor.

        The trainer adds these over all micro-batches and workers of a global batch before any loss is taken.
        """
        ...


def guarded(count: Tensor) -> Tensor:
    """A count that is safe to divide by: at least one."""
    return torch.clamp(count, min=1.0)
