"""A video classifier without training: the backbone's own logits of a video's clips, pooled.

Letters: T clips, K classes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

ClipPooling = Literal["mean", "foreground"]


def pooled_clip_logits(
    logits_TK: npt.NDArray[np.floating], num_classes: int, pooling: ClipPooling = "foreground"
) -> npt.NDArray[np.float32]:
    """Class logits of a video from those of its clips, to stand beside a trained classifier's.

    Softmax over the result gives the geometric mean of the clips' class probabilities, background apart.

    Args:
        logits_TK: (T, K) or (T, K + 1) with background last, as a feature store holds them; T of at least 1.
        num_classes: K.
        pooling: `mean` weighs all clips alike; `foreground` each by its probability of being no background,
            relative to the others', so that short actions are not lost. Without background they are equal.

    Returns:
        (K,).

    Raises:
        ValueError: no clip, or columns that are neither the classes nor the classes and background.
    """
    found = logits_TK.shape
    if len(found) != 2 or not found[0] or found[1] not in (num_classes, num_classes + 1):
        raise ValueError(
            f"logits_TK: shape {found}, expected at least one row of {num_classes} classes, or of one more"
        )
    precise_TK = logits_TK.astype(np.float64)
    weight_T = np.full(found[0], 1.0 / found[0])
    if pooling == "foreground" and found[1] > num_classes:
        log_share_T = _log_sum(precise_TK[:, :num_classes]) - _log_sum(precise_TK)
        weight_T = np.exp(log_share_T - _log_sum(log_share_T))
    video_K: npt.NDArray[np.float32] = (weight_T @ precise_TK[:, :num_classes]).astype(np.float32)
    return video_K


def _log_sum(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """log of the sum of exponentials over the last axis."""
    peak = values.max(axis=-1, keepdims=True)
    total: npt.NDArray[np.float64] = np.log(np.exp(values - peak).sum(axis=-1)) + peak[..., 0]
    return total
