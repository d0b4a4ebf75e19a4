"""What weights and post-processing are worth on annotated videos.

Letters: V predicted videos, N members, R rows of logits, K columns.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.clusters import Late, clustered
from talaria.ensemble.fusion import checked_weights, fuse_logits
from talaria.ensemble.pool import VideoPool
from talaria.ensemble.stacks import ProposalStack, Stack, stacked
from talaria.errors import DataError
from talaria.evaluation.arrays import BoolArray, Detections, FloatArray, GroundTruth, IntArray
from talaria.evaluation.detection import DetectionResult, detection_map
from talaria.prediction.candidates import Candidates
from talaria.prediction.postprocess import check_columns, labelled, segment_classes, suppressed


@dataclass(frozen=True, eq=False)
class FusionSet:
    """Annotated videos and what every member says of them.

    Attributes:
        members: (N,) names.
        truth: its `video_ids` hold every annotated video. One without predictions (its file was broken, say)
            has no detections, so that its truths count as missed.
        predicted: (V,) ids of the videos with predictions.
        durations_s: (V,) their lengths.
        joint: what a weight mixes; None where members have nothing in common, until `clustered`.
        alone: every member by itself.
        logits: of each video (N, R, K), or (1, R, K) where all members take the same.
    """

    members: tuple[str, ...]
    truth: GroundTruth
    predicted: tuple[str, ...]
    durations_s: FloatArray
    joint: Stack | None
    alone: tuple[Stack, ...]
    logits: tuple[NDArray[np.floating], ...]

    def __post_init__(self) -> None:
        strange = sorted(set(self.predicted) - set(self.truth.video_ids))
        if strange:
            raise DataError(
                f"predictions of {len(strange)} videos have no annotations, the first is {strange[0]}"
            )
        num_classes = len(self.truth.classes)
        check_columns(zip(self.predicted, (rows[0] for rows in self.logits), strict=True), num_classes)

    @classmethod
    def of(cls, members: Sequence[str], pools: Sequence[VideoPool], truth: GroundTruth) -> FusionSet:
        """From the pools of at least one video, one part per member in each.

        Raises:
            DataError: no pool, videos without annotations, or logits of other classes.
        """
        if not pools:
            raise DataError(
                f"ensemble: none of {len(truth.video_ids)} annotated videos has predictions of all members; "
                "predict them, or choose another subset (data.fit_subset, data.judge_subset)"
            )
        joint = [pool.joint for pool in pools if pool.joint is not None]
        return cls(
            tuple(members),
            truth,
            tuple(pool.video_id for pool in pools),
            np.array([pool.duration_s for pool in pools], np.float64),
            stacked(joint) if joint else None,
            tuple(stacked([pool.alone[i] for pool in pools]) for i in range(len(members))),
            tuple(pool.class_logits_NRK for pool in pools),
        )

    def classified_by(self, class_logits: Mapping[str, FloatArray] | None) -> FusionSet:
        """The set with the same (K,) class logits of a video for all members; None leaves each its own.

        Raises:
            DataError: naming the first video without any, and how many there are.
        """
        if class_logits is None:
            return self
        unknown = [video_id for video_id in self.predicted if video_id not in class_logits]
        if unknown:
            raise DataError(
                f"classifiers: {len(unknown)} videos with raw predictions were not classified, the first is "
                f"{unknown[0]}; run jobs/predict.py again"
            )
        return replace(self, logits=tuple(class_logits[one][None, None] for one in self.predicted))

    @property
    def video_ids(self) -> tuple[str, ...]:
        """Every annotated video."""
        return self.truth.video_ids

    @property
    def refined(self) -> bool:
        """Whether the members refined the same proposals."""
        return isinstance(self.joint, ProposalStack)

    def only(self, member: int) -> FusionSet:
        """The set with one member alone."""
        mine = self.alone[member]
        logits = tuple(rows if len(rows) == 1 else rows[member : member + 1] for rows in self.logits)
        return replace(self, members=(self.members[member],), joint=mine, alone=(mine,), logits=logits)

    def within(self, video_ids: Collection[str]) -> FusionSet:
        """The set with the segments and truths of some videos alone; all keep their numbers."""
        keep_V, wanted = self._chosen(video_ids), frozenset(video_ids)
        true_V = np.array([video_id in wanted for video_id in self.video_ids], np.bool_)
        return replace(
            self,
            truth=self.truth.within(true_V),
            joint=self.joint.within(keep_V) if self.joint is not None else None,
            alone=tuple(stack.within(keep_V) for stack in self.alone),
        )

    def late(self, configs: Sequence[PostprocessConfig], video_ids: Collection[str]) -> Late:
        """What makes members' detections comparable, learned from some videos.

        Args:
            configs: each member's own post-processing.
            video_ids: to fit on.
        """
        own = self.within(video_ids)._own_detections(configs)
        return Late(tuple(configs), tuple(float(one.score.max(initial=0.0)) or 1.0 for one in own))

    def clustered(self, late: Late) -> FusionSet:
        """The set with clusters of the members' detections as what is mixed."""
        own = self._own_detections(late.configs)
        return replace(self, joint=clustered(own, late.scales, len(self.predicted)))

    def _own_detections(self, configs: Sequence[PostprocessConfig]) -> list[Candidates]:
        """Of each member; where one gives its segments classes, and these count, all have such."""
        own = [
            suppressed(stack.candidates((1.0,), config), config)
            for stack, config in zip(self.alone, configs, strict=True)
        ]
        by_proposal = all(config.classification == "proposal" for config in configs)
        if not by_proposal or all(one.class_scores is None for one in own):
            return [replace(one, class_scores=None) for one in own]
        num_classes = len(self.truth.classes)
        logits = [[rows[min(i, len(rows) - 1)] for rows in self.logits] for i in range(len(own))]
        return [
            replace(one, class_scores=segment_classes(one, mine, num_classes))
            for one, mine in zip(own, logits, strict=True)
        ]

    def detections(
        self, weights: Sequence[float], config: PostprocessConfig, video_ids: Collection[str] | None = None
    ) -> Detections:
        """Fuse and post-process the chosen videos (by default all); `video_idx` numbers `truth.video_ids`."""
        assert self.joint is not None, "members without anything in common are clustered first"
        joint = self.joint if video_ids is None else self.joint.within(self._chosen(video_ids))
        candidates = joint.candidates(weights, config)
        found = labelled(
            candidates, self._fused_logits(weights), self.durations_s, config, len(self.truth.classes)
        )
        return replace(found, video_idx=self._truth_idx[found.video_idx])

    def average_map(
        self, weights: Sequence[float], config: PostprocessConfig, video_ids: Collection[str] | None = None
    ) -> float:
        """Average mAP over tIoU 0.5:0.05:0.95 on the chosen videos (by default all), in [0, 1].

        Raises:
            DataError: none of the chosen videos has an annotated segment.
        """
        return self.score(self.detections(weights, config, video_ids), video_ids).average_map

    def score(self, detections: Detections, video_ids: Collection[str] | None = None) -> DetectionResult:
        """What given detections are worth on the chosen videos (by default all)."""
        if video_ids is None:
            return detection_map(self.truth, detections)
        wanted = frozenset(video_ids)
        keep_V = np.array([video_id in wanted for video_id in self.video_ids], np.bool_)
        return detection_map(self.truth.within(keep_V), detections.within(keep_V))

    def _chosen(self, video_ids: Collection[str]) -> BoolArray:
        wanted = frozenset(video_ids)
        return np.array([video_id in wanted for video_id in self.predicted], np.bool_)

    def _fused_logits(self, weights: Sequence[float]) -> list[NDArray[np.floating]]:
        weight_N = checked_weights(weights, len(self.members))
        return [rows[0] if len(rows) == 1 else fuse_logits(rows, weight_N) for rows in self.logits]

    @cached_property
    def _truth_idx(self) -> IntArray:
        """(V,) number of every predicted video in the truth."""
        number = {video_id: index for index, video_id in enumerate(self.video_ids)}
        return np.array([number[video_id] for video_id in self.predicted], np.int64)
