"""Everything that is fused of many videos as flat arrays, because a search fuses thousands of times.

The three kinds differ in what a weight mixes: what members say of the same segments of a map, where refiners
put the same proposals, or the members of a cluster of detections.

Letters: V videos, N members, X segments of all videos, Q beliefs about one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.fusion import AlignedProposals, checked_weights, fuse_probabilities
from talaria.ensemble.pool import Part, Shortlist
from talaria.ensemble.resizing import Floats
from talaria.evaluation.arrays import BoolArray, FloatArray, IntArray
from talaria.prediction.candidates import Candidates
from talaria_models.bmn.decode import segment_scores


@dataclass(frozen=True, eq=False)
class Factor:
    """A part of a score: the weighted sum of the members' values, to a power.

    Attributes:
        values_NX: at or above 0.
        power: at or above 0.
    """

    values_NX: Floats | FloatArray
    power: float


class Stack(Protocol):
    """Segments of many videos, ready to be weighed."""

    @property
    def video_idx(self) -> IntArray:
        """(X,) position of the video, ascending."""
        ...

    def within(self, keep_V: BoolArray) -> Stack:
        """Only the segments of the chosen videos; videos keep their positions."""
        ...

    def candidates(self, weights: Sequence[float], config: PostprocessConfig) -> Candidates:
        """Weigh the members, score, keep the best `config.proposals_per_video` of each video.

        Args:
            weights: one per member, at or above 0, with sum 1.
            config: powers and counts.

        Raises:
            ConfigError: weights of another number, sign or sum.
        """
        ...

    def placed(self, weights: Sequence[float]) -> FloatArray:
        """(X, 2) where the weighted members put every segment, fractions of the video."""
        ...

    def factors(self, config: PostprocessConfig) -> list[Factor]:
        """What a segment's score is the product of, but for a factor that no weight changes."""
        ...


@dataclass(frozen=True, eq=False)
class MapStack:
    """Segments of maps.

    Attributes:
        video_idx: (X,).
        segments_X2: fractions of the video.
        beliefs_NQX: startness, endness, regression, classification, in [0, 1].
    """

    video_idx: IntArray
    segments_X2: FloatArray
    beliefs_NQX: Floats

    @classmethod
    def of(cls, listed: Sequence[Shortlist]) -> MapStack:
        """From one shortlist a video."""
        return cls(
            _numbered([len(one.segments_C2) for one in listed]),
            np.concatenate([np.zeros((0, 2)), *(one.segments_C2 for one in listed)]),
            np.concatenate([one.beliefs_NQC for one in listed], axis=2),
        )

    def within(self, keep_V: BoolArray) -> MapStack:
        """As `Stack.within`."""
        keep = keep_V[self.video_idx]
        return MapStack(self.video_idx[keep], self.segments_X2[keep], self.beliefs_NQX[:, :, keep])

    def candidates(self, weights: Sequence[float], config: PostprocessConfig) -> Candidates:
        """As `Stack.candidates`. Source: 2020 winners' report (arXiv 2006.07520), section 2.2."""
        weight_N = checked_weights(weights, len(self.beliefs_NQX))
        score_X = segment_scores(
            fuse_probabilities(self.beliefs_NQX, weight_N),
            map_classification_power=config.map_classification_power,
            map_regression_power=config.map_regression_power,
            boundary_power=config.boundary_power,
        )
        return Candidates(self.video_idx, self.segments_X2, score_X).best(config.proposals_per_video)

    def placed(self, weights: Sequence[float]) -> FloatArray:
        """As `Stack.placed`: a segment of a map stays."""
        return self.segments_X2

    def factors(self, config: PostprocessConfig) -> list[Factor]:
        """As `Stack.factors`."""
        powers = (
            config.boundary_power,
            config.boundary_power,
            config.map_regression_power,
            config.map_classification_power,
        )
        return [Factor(self.beliefs_NQX[:, index], power) for index, power in enumerate(powers)]


@dataclass(frozen=True, eq=False)
class ProposalStack:
    """Refinements of the same proposals.

    Attributes:
        video_idx: (X,).
        proposal_scores_X: the generator's.
        segments_NX2: where each member puts each proposal, fractions of the video.
        scores_NX: each member's confidence.
        class_scores_XK: of segments that a single member found by itself, else None.
    """

    video_idx: IntArray
    proposal_scores_X: Floats
    segments_NX2: Floats
    scores_NX: Floats
    class_scores_XK: Floats | None = None

    @classmethod
    def of(cls, listed: Sequence[AlignedProposals]) -> ProposalStack:
        """From the aligned members of each video."""
        return cls(
            _numbered([len(one.proposal_scores_P) for one in listed]),
            np.concatenate([one.proposal_scores_P for one in listed]),
            np.concatenate([one.segments_NP2 for one in listed], axis=1),
            np.concatenate([one.scores_NP for one in listed], axis=1),
            _joined([one.class_scores_PK for one in listed]),
        )

    def within(self, keep_V: BoolArray) -> ProposalStack:
        """As `Stack.within`."""
        keep = keep_V[self.video_idx]
        return ProposalStack(
            self.video_idx[keep],
            self.proposal_scores_X[keep],
            self.segments_NX2[:, keep],
            self.scores_NX[:, keep],
            _chosen(self.class_scores_XK, keep),
        )

    def candidates(self, weights: Sequence[float], config: PostprocessConfig) -> Candidates:
        """As `Stack.candidates`. Source: 2020 winners' report (arXiv 2006.07520), section 2.3."""
        weight_N = checked_weights(weights, len(self.scores_NX))
        own_X = self.proposal_scores_X.astype(np.float64) ** config.proposal_power
        fused_X = fuse_probabilities(self.scores_NX, weight_N).astype(np.float64)
        score_X = own_X * fused_X**config.refined_power
        found = Candidates(self.video_idx, self.placed(weights), score_X, self.class_scores_XK)
        return found.best(config.proposals_per_video)

    def placed(self, weights: Sequence[float]) -> FloatArray:
        """As `Stack.placed`."""
        weight_N = checked_weights(weights, len(self.scores_NX))
        return fuse_probabilities(self.segments_NX2, weight_N).astype(np.float64)

    def factors(self, config: PostprocessConfig) -> list[Factor]:
        """As `Stack.factors`."""
        return [Factor(self.scores_NX, config.refined_power)]


@dataclass(frozen=True, eq=False)
class ClusterStack:
    """Clusters of detections, see `talaria.ensemble.clusters`.

    Attributes:
        video_idx: (X,).
        segments_NX2: each member's segment in each cluster, fractions of the video.
        scores_NX: its score; 0 where the member has none there.
        class_scores_XK: mean of its detections by score, whatever the weights; None where no member gives its
            segments classes.
    """

    video_idx: IntArray
    segments_NX2: FloatArray
    scores_NX: FloatArray
    class_scores_XK: Floats | None = None

    def within(self, keep_V: BoolArray) -> ClusterStack:
        """As `Stack.within`."""
        keep = keep_V[self.video_idx]
        return ClusterStack(
            self.video_idx[keep],
            self.segments_NX2[:, keep],
            self.scores_NX[:, keep],
            _chosen(self.class_scores_XK, keep),
        )

    def candidates(self, weights: Sequence[float], config: PostprocessConfig) -> Candidates:
        """As `Stack.candidates`; members that found nothing count as a score of 0.

        Source: Solovyev, Wang, Gabruseva 2021, Weighted boxes fusion (arXiv 1910.13302), section 3, in time.
        """
        score_X = self._shares(weights).sum(axis=0)
        there = score_X > 0
        found = Candidates(
            self.video_idx[there],
            self.placed(weights)[there],
            score_X[there],
            _chosen(self.class_scores_XK, there),
        )
        return found.best(config.proposals_per_video)

    def placed(self, weights: Sequence[float]) -> FloatArray:
        """As `Stack.placed`; nowhere, [0, 0], where only members of weight 0 have a segment."""
        share_NX = self._shares(weights)
        total_X = share_NX.sum(axis=0)
        mixed_X2: FloatArray = (share_NX[:, :, None] * self.segments_NX2).sum(axis=0)
        return mixed_X2 / np.where(total_X > 0, total_X, 1.0)[:, None]

    def _shares(self, weights: Sequence[float]) -> FloatArray:
        weight_N = checked_weights(weights, len(self.scores_NX)).astype(np.float64)
        shares_NX: FloatArray = weight_N[:, None] * self.scores_NX
        return shares_NX

    def factors(self, config: PostprocessConfig) -> list[Factor]:
        """As `Stack.factors`."""
        return [Factor(self.scores_NX, 1.0)]


def stacked(parts: Sequence[Part]) -> Stack:
    """The parts of many videos, all of one kind."""
    maps = [part for part in parts if isinstance(part, Shortlist)]
    proposals = [part for part in parts if isinstance(part, AlignedProposals)]
    assert len(parts) in (len(maps), len(proposals)), "parts of several kinds"
    return MapStack.of(maps) if maps else ProposalStack.of(proposals)


def _joined(parts: Sequence[Floats | None]) -> Floats | None:
    """All rows; None where a part has none."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known and len(known) == len(parts) else None


def _chosen(rows: Floats | None, keep: BoolArray) -> Floats | None:
    return None if rows is None else rows[keep]


def _numbered(sizes: Sequence[int]) -> IntArray:
    return np.repeat(np.arange(len(sizes)), sizes)
