"""Weighted fusion of what several members believe about one video.

What does not depend on the weights (resizing to one grid) is done once by `align`, so that trying weights
costs a weighted sum. Maps are fused with maps, refined proposals with other refinements of the same ones.

Letters: N members, T snippets of the fused grid, D durations (D = T), M map channels, P proposals, R rows
of logits, K columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from talaria.ensemble.resizing import Floats, resize_curve, resize_map, resize_rows
from talaria.errors import ConfigError, DataError
from talaria.prediction.belief import Belief
from talaria.prediction.found import FoundPrediction
from talaria.prediction.raw import RawPrediction
from talaria.prediction.refined import RefinedPrediction

_DURATION_TOLERANCE_S = 1e-3


class Aligned(Protocol):
    """All members' predictions of one video, ready to be weighted."""

    @property
    def video_id(self) -> str: ...

    def fused(self, weights: Sequence[float]) -> Belief:
        """The weighted sum of the members.

        Args:
            weights: one per member, at or above 0, with sum 1.

        Raises:
            ConfigError: weights of another number, sign or sum.
        """
        ...


@dataclass(frozen=True, eq=False)
class AlignedMaps:
    """Maps of one video on one grid; in each array the first axis is the member.

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

    def fused(self, weights: Sequence[float]) -> RawPrediction:
        """As `Aligned.fused`."""
        weight_N = checked_weights(weights, len(self.start_NT))
        return RawPrediction(
            self.video_id,
            self.duration_s,
            fuse_probabilities(self.start_NT, weight_N),
            fuse_probabilities(self.end_NT, weight_N),
            fuse_probabilities(self.bm_map_NMDT, weight_N),
            fuse_logits(self.class_logits_NRK, weight_N),
        )


@dataclass(frozen=True, eq=False)
class AlignedProposals:
    """Refinements of the same proposals of one video; N is the first axis of what differs between members.

    Attributes:
        proposals_P2: fractions of the video.
        proposal_scores_P: the generator's.
        segments_NP2: where each member puts each proposal.
        scores_NP: each member's confidence.
        class_logits_NRK: class logits.
        class_scores_PK: of segments that a single member found by itself, else None.
    """

    video_id: str
    duration_s: float
    proposals_P2: Floats
    proposal_scores_P: Floats
    segments_NP2: Floats
    scores_NP: Floats
    class_logits_NRK: Floats
    class_scores_PK: Floats | None = None

    def fused(self, weights: Sequence[float]) -> RefinedPrediction:
        """As `Aligned.fused`. Source: 2020 winners' report (arXiv 2006.07520), section 2.3."""
        weight_N = checked_weights(weights, len(self.scores_NP))
        return RefinedPrediction(
            self.video_id,
            self.duration_s,
            self.proposals_P2,
            self.proposal_scores_P,
            fuse_probabilities(self.segments_NP2, weight_N),
            fuse_probabilities(self.scores_NP, weight_N),
            fuse_logits(self.class_logits_NRK, weight_N),
        )


def fuse(predictions: Sequence[Belief], weights: Sequence[float]) -> Belief:
    """One prediction out of several of the same video; for many weights use `align` once instead.

    Args:
        predictions: one per member, all of one kind.
        weights: one per member, at or above 0, with sum 1.

    Raises:
        ConfigError: weights of another number, sign or sum.
        DataError: predictions that are not of one video.
    """
    return align(predictions).fused(weights)


def align(predictions: Sequence[Belief]) -> Aligned:
    """Bring the members of one video together: maps on one grid (`fused_size`), refinements by proposal.

    Raises:
        DataError: other videos, durations, class columns or proposals, naming the video and what differs.
    """
    first, logits_NRK = predictions[0], aligned_logits(predictions)
    if isinstance(first, FoundPrediction) and len(predictions) == 1:
        return _found_alone(first, logits_NRK)
    maps = [one for one in predictions if isinstance(one, RawPrediction)]
    refined = [one for one in predictions if isinstance(one, RefinedPrediction)]
    if len(maps) == len(predictions):
        return _aligned_maps(maps, logits_NRK)
    if len(refined) == len(predictions):
        return _aligned_proposals(refined, logits_NRK)
    found = len(predictions) - len(maps) - len(refined)
    raise DataError(
        f"video {first.video_id}: {len(maps)} members have maps, {len(refined)} refined proposals, "
        f"{found} found segments by themselves; expected one kind, and no more than one of the last"
    )


def aligned_logits(predictions: Sequence[Belief]) -> Floats:
    """Class logits of the members of one video, (N, R, K): rows of all as many as the one with most has.

    Raises:
        DataError: other videos, durations or class columns, naming the video and what differs.
    """
    for other in predictions[1:]:
        _check_same_video(predictions[0], other)
    num_rows = max(len(one.class_logits_RK) for one in predictions)
    return np.stack([resize_rows(one.class_logits_RK, num_rows) for one in predictions])


def _aligned_maps(predictions: Sequence[RawPrediction], logits_NRK: Floats) -> AlignedMaps:
    first, size = predictions[0], fused_size([one.num_snippets for one in predictions])
    return AlignedMaps(
        first.video_id,
        first.duration_s,
        np.stack([resize_curve(one.start_T, size) for one in predictions]),
        np.stack([resize_curve(one.end_T, size) for one in predictions]),
        np.stack([resize_map(one.bm_map_MDT, size) for one in predictions]),
        logits_NRK,
    )


def _aligned_proposals(predictions: Sequence[RefinedPrediction], logits_NRK: Floats) -> AlignedProposals:
    first = predictions[0]
    if any(not np.array_equal(one.proposals_P2, first.proposals_P2) for one in predictions):
        raise DataError(
            f"video {first.video_id}: members refined other proposals; expected refiners of the same ones"
        )
    return AlignedProposals(
        first.video_id,
        first.duration_s,
        first.proposals_P2,
        first.proposal_scores_P,
        np.stack([one.segments_P2 for one in predictions]),
        np.stack([one.scores_P for one in predictions]),
        logits_NRK,
    )


def _found_alone(one: FoundPrediction, logits_NRK: Floats) -> AlignedProposals:
    """Found segments as proposals of their own that stay where they are."""
    return AlignedProposals(
        one.video_id,
        one.duration_s,
        one.segments_P2,
        np.ones_like(one.scores_P),
        one.segments_P2[None],
        one.scores_P[None],
        logits_NRK,
        one.class_scores_PK,
    )


def fused_size(sizes: Sequence[int]) -> int:
    """Snippets of the grid that maps are fused on: the members' own, or twice the finest of several.

    Segments of one grid lie between those of another; twice as fine, the fusion can choose there, too. With
    members of one size it would only choose between equals.

    Args:
        sizes: snippets of each member.

    Source: 2020 winners' report (arXiv 2006.07520), section 2.2, says "the same scale"; which one is ours:
    on the demo set it raises the AUC of an ensemble by one to two points (BMN's README).
    """
    return max(sizes) if len(set(sizes)) == 1 else 2 * max(sizes)


def fuse_probabilities(values_NX: Floats, weight_N: Floats) -> Floats:
    """Weighted sum of values in [0, 1] over the members: curves, maps, segments as fractions, scores.

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


def _check_same_video(first: Belief, other: Belief) -> None:
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
