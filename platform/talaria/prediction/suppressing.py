"""Suppression as a recipe's post-processing asks for it."""

from __future__ import annotations

from talaria.config.postprocess import PostprocessConfig
from talaria.evaluation.arrays import FloatArray, IntArray
from talaria.evaluation.suppression import Kept, hard_nms, soft_nms


def suppress(
    segments_frac: FloatArray,
    scores: FloatArray,
    config: PostprocessConfig,
    group_idx: IntArray | None = None,
) -> Kept:
    """The best `config.detections_per_video` segments of every list; a flat form of `soft_nms`.

    Args:
        segments_frac: (N, 2) fractions of the video.
        scores: (N,) at or above 0.
        config: kind, limits and count.
        group_idx: (N,) list of each; without it all are one list.
    """
    top = config.detections_per_video
    if config.suppression == "hard":
        return hard_nms(segments_frac, scores, group_idx, threshold=config.low, top=top)
    return soft_nms(
        segments_frac, scores, group_idx, low=config.low, high=config.high, alpha=config.alpha, top=top
    )
