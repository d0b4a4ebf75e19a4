"""From class logits to class scores, and to the best classes of a video.

Letters: B batch, K classes, A classes kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from talaria_models.classifier.model import ClassifierOutput


def probabilities(output: ClassifierOutput) -> Tensor:
    """Class probabilities (B, K) in float32, each row summing to 1."""
    return torch.softmax(output.logits_BK.float(), dim=1)


def top_classes(
    scores_K: npt.NDArray[np.floating], *, top: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The best classes of one video.

    Args:
        scores_K: (K,) probabilities.
        top: how many to keep at most.

    Returns:
        (A,) class indices and (A,) scores, best first; equal scores keep the order of the classes.
    """
    best_A = np.argsort(-scores_K.astype(np.float64), kind="stable")[:top].astype(np.int64)
    return best_A, scores_K[best_A].astype(np.float64)
