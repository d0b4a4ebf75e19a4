"""What the video classifier learns: the classes that occur in a video."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def build_targets(class_idx: Iterable[int], num_classes: int) -> dict[str, Tensor]:
    """Soft class target of one video, uniform over its classes.

    Args:
        class_idx: class of each annotation; repeats count once; may be empty.
        num_classes: K.

    Returns:
        `classes` (K,) that sums to 1, or zeros for a video without classes, which adds nothing to the loss.

    Raises:
        ValueError: a class outside 0 to K - 1.
    """
    present = sorted(set(class_idx))
    if present and not 0 <= present[0] <= present[-1] < num_classes:
        raise ValueError(f"class_idx: found {present}, expected 0 to {num_classes - 1}")
    classes_K = torch.zeros(num_classes)
    if present:
        classes_K[present] = 1.0 / len(present)
    return {"classes": classes_K}
