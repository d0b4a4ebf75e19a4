"""Temporal intersection over union, and what it is for two empty segments.

Letters: P proposals or detections, G truths.
"""

from __future__ import annotations

import math

import numpy as np

from talaria.evaluation.arrays import FloatArray


def tiou(proposals: FloatArray, truths: FloatArray, *, undefined: float = math.nan) -> FloatArray:
    """Temporal IoU of every proposal with every truth.

    Args:
        proposals: (P, 2) start and end, seconds or any one unit.
        truths: (G, 2) in the same unit.
        undefined: the value of 0/0, which two zero-length segments give, wherever they are. The official code
            leaves NaN there: detection then counts a hit (`NaN < threshold` is false), AR@AN a miss.

    Returns:
        (P, G) in [0, 1], or `undefined`; empty where P or G is 0.

    Raises:
        ValueError: if an array is not (N, 2) or an end precedes its start.

    Source: `segment_iou` of the ActivityNet evaluation code, with its order of operations.
    """
    for name, segments in (("proposals", proposals), ("truths", truths)):
        if segments.ndim != 2 or segments.shape[1] != 2:
            raise ValueError(f"{name} has shape {segments.shape}, expected (N, 2)")
        if (segments[:, 1] < segments[:, 0]).any():
            raise ValueError(f"{name} holds a segment whose end precedes its start")
    starts_P1, ends_P1 = proposals[:, :1], proposals[:, 1:]
    tiou_PG = paired_tiou(starts_P1, ends_P1, truths[:, 0], truths[:, 1])
    return tiou_PG if math.isnan(undefined) else np.where(np.isnan(tiou_PG), undefined, tiou_PG)


def paired_tiou(
    starts: FloatArray, ends: FloatArray, other_starts: FloatArray, other_ends: FloatArray
) -> FloatArray:
    """Temporal IoU of segments with their partners, of any shapes that broadcast; 0/0 stays NaN."""
    overlap = np.maximum(np.minimum(ends, other_ends) - np.maximum(starts, other_starts), 0.0)
    union = (ends - starts) + (other_ends - other_starts) - overlap
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: FloatArray = overlap / union
    return shares
