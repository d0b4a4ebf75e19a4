"""Weighted fusion of what several members believe about one video.

What does not depend on the weights (resizing to one grid) is done once by `align`, so that trying weights
costs a weighted sum.

Letters: N members, T snippets of the finest member, D durations (D = T), M map channels, R rows of logits,
K columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talaria.ensemble.resizing import Floats, resize_curve, resize_map, resize_rows
from talaria.errors import ConfigError, DataError
from talaria.prediction.raw import RawPrediction

_DURATION_TOLERANCE_S = 1e-3


@dataclass(frozen=True, eq=False)
class Aligned:
    """All members' predictions of one video on one grid; in each array the first axis is the member.

    Attributes:
        start_NT, end_NT: boundary probabilities.
        bm_map_NMDT: map probabilities.
        class_logits_NRK: class logits.
    """

    video_id: str
    duration_s: float
    start_NT: Floats
    end_NT: Floats
    bm_map_NMDT: Floats
    class_logits_NRK: Floats

    @property
    def num_members(self) -> int:
        """N."""
        return len(self.start_NT)

    def fused(self, weights: Sequence[float]) -> RawPrediction:
        """The weighted sum of the members.

        Args:
            weights: one per member, at or above 0, with sum 1.

        Raises:
            ConfigError: weights of another number, sign or sum.
        """
        weight_N = checked_weights(weights, self.num_members)
        return RawPrediction(
            self.video_id,
            self.duration_s,
            fuse_probabilities(self.start_NT, weight_N),
            fuse_probabilities(self.end_NT, weight_N),
            fuse_probabilities(self.bm_map_NMDT, weight_N),
            fuse_logits(self.class_logits_NRK, weight_N),
        )


def fuse(predictions: Sequence[RawPrediction], weights: Sequence[float]) -> RawPrediction:
    """One prediction out of several of the same video; for many weights use `align` once instead.

    Args:
        predictions: one per member.
        weights: one per member, at or above 0, with sum 1.

    Raises:
        ConfigError: weights of another number, sign or sum.
        DataError: predictions that are not of one video.
    """
    return align(predictions).fused(weights)


def align(predictions: Sequence[RawPrediction]) -> Aligned:
    """Resize the members of one video to the finest grid among them.

    Raises:
        DataError: other videos, durations or class columns, naming the video and what differs.
    """
    first = predictions[0]
    for other in predictions[1:]:
        _check_same_video(first, other)
    size = max(one.num_snippets for one in predictions)
    num_rows = max(len(one.class_logits_RK) for one in predictions)
    return Aligned(
        first.video_id,
        first.duration_s,
        np.stack([resize_curve(one.start_T, size) for one in predictions]),
        np.stack([resize_curve(one.end_T, size) for one in predictions]),
        np.stack([resize_map(one.bm_map_MDT, size) for one in predictions]),
        np.stack([resize_rows(one.class_logits_RK, num_rows) for one in predictions]),
    )


def fuse_probabilities(values_NX: Floats, weight_N: Floats) -> Floats:
    """Weighted sum of boundary curves (N, T) or maps (N, M, D, T) over the members.

    Source: 2020 winners' report (arXiv 2006.07520), section 2.2.
    """
    return np.clip(np.tensordot(weight_N, values_NX, axes=1), 0.0, 1.0)


def fuse_logits(logits_NRK: Floats, weight_N: Floats) -> Floats:
    """Sum of class logits (N, R, K), each model's multiplied by its weight before the softmax.

    Source: 2020 winners' report (arXiv 2006.07520), section 2.1.
    """
    fused: Floats = np.tensordot(weight_N, logits_NRK, axes=1)
    return fused


def checked_weights(weights: Sequence[float], num_members: int) -> Floats:
    """The weights as an array.

    Raises:
        ConfigError: another number than members, a negative or infinite one, or a sum that is not 1.
    """
    weight_N: NDArray[np.float64] = np.asarray(weights, np.float64)
    if weight_N.shape != (num_members,):
        raise ConfigError(f"weights: found {weight_N.size}, expected one for each of {num_members} members")
    if not ((weight_N >= 0).all() and abs(weight_N.sum() - 1) <= 1e-6):
        raise ConfigError(f"weights: found {weight_N.tolist()}, expected numbers of at least 0 that sum to 1")
    return weight_N.astype(np.float32)


def _check_same_video(first: RawPrediction, other: RawPrediction) -> None:
    columns, other_columns = first.class_logits_RK.shape[1], other.class_logits_RK.shape[1]
    if other.video_id != first.video_id:
        raise DataError(
            f"fusion: found predictions of videos {first.video_id} and {other.video_id}, expected one"
        )
    if abs(other.duration_s - first.duration_s) > _DURATION_TOLERANCE_S:
        raise DataError(
            f"video {first.video_id}: duration_s is {first.duration_s:g} for one member and "
            f"{other.duration_s:g} for another; members must share the time base"
        )
    if columns != other_columns:
        raise DataError(
            f"video {first.video_id}: class_logits have {columns} columns for one member and {other_columns} "
            "for another; members must share the classes, all with background or all without"
        )
