"""What weights and post-processing are worth on annotated videos.

Letters: V annotated videos, N members.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.fusion import Aligned, align
from talaria.errors import DataError
from talaria.evaluation.arrays import Detections, FloatArray, GroundTruth, IntArray
from talaria.evaluation.detection import DetectionResult, detection_map
from talaria.prediction.belief import Belief
from talaria.prediction.postprocess import postprocess
from talaria.prediction.refined import RefinedPrediction
from talaria.prediction.stores import RawStore


@dataclass(frozen=True, eq=False)
class FusionSet:
    """Annotated videos and what every member believes about them.

    Attributes:
        members: names of the members.
        predictions: for every predicted video one prediction per member, in their order.
        truth: its `video_ids` hold every annotated video. One without predictions (its file was broken, say)
            has no detections, so that its truths count as missed.
    """

    members: tuple[str, ...]
    predictions: tuple[tuple[Belief, ...], ...]
    truth: GroundTruth

    def __post_init__(self) -> None:
        if any(len(listed) != len(self.members) for listed in self.predictions):
            raise ValueError(f"predictions: expected {len(self.members)} of every video, one per member")
        strange = sorted({listed[0].video_id for listed in self.predictions} - set(self.truth.video_ids))
        if strange:
            raise DataError(
                f"predictions of {len(strange)} videos have no annotations, the first is {strange[0]}"
            )

    @classmethod
    def read(
        cls,
        stores: Mapping[str, RawStore],
        truth: GroundTruth,
        class_logits: Mapping[str, FloatArray] | None = None,
    ) -> FusionSet:
        """Every member's predictions of the videos of `truth`.

        Args:
            stores: by member name, checked by `talaria.ensemble.members` to be about the same videos.
            truth: may hold a part of these videos only, such as one subset.
            class_logits: (K,) by video, which all members take; None leaves each its own.

        Raises:
            DataError: predictions that are missing or damaged, or a video without class logits.
        """
        predicted = set(next(iter(stores.values())).video_ids)
        chosen = [video_id for video_id in truth.video_ids if video_id in predicted]
        predictions = tuple(tuple(store.read(video_id) for store in stores.values()) for video_id in chosen)
        return cls(tuple(stores), predictions, truth).classified_by(class_logits)

    def classified_by(self, class_logits: Mapping[str, FloatArray] | None) -> FusionSet:
        """The set with the same (K,) class logits of a video for all members; None leaves each its own.

        Raises:
            DataError: naming the first video without any, and how many there are.
        """
        if class_logits is None:
            return self
        unknown = [one[0].video_id for one in self.predictions if one[0].video_id not in class_logits]
        if unknown:
            raise DataError(
                f"classifiers: {len(unknown)} videos with raw predictions were not classified, the first is "
                f"{unknown[0]}; run jobs/predict.py again"
            )
        predictions = tuple(
            tuple(one.with_class_logits(class_logits[one.video_id][None]) for one in listed)
            for listed in self.predictions
        )
        return replace(self, predictions=predictions)

    @property
    def video_ids(self) -> tuple[str, ...]:
        """Every annotated video."""
        return self.truth.video_ids

    @property
    def refined(self) -> bool:
        """Whether the members refined proposals; otherwise they have maps."""
        return any(isinstance(one, RefinedPrediction) for listed in self.predictions[:1] for one in listed)

    def only(self, member: int) -> FusionSet:
        """The set with one member alone, on its own grid."""
        mine = tuple((listed[member],) for listed in self.predictions)
        return replace(self, members=(self.members[member],), predictions=mine)

    def detections(
        self, weights: Sequence[float], config: PostprocessConfig, video_ids: Collection[str] | None = None
    ) -> Detections:
        """Fuse and post-process the chosen videos (by default all); `video_idx` numbers `truth.video_ids`."""
        wanted = frozenset(self.video_ids if video_ids is None else video_ids)
        chosen = [position for position, video in enumerate(self._aligned) if video.video_id in wanted]
        fused = [self._aligned[position].fused(weights) for position in chosen]
        found = postprocess(fused, config, self.truth.classes)
        return replace(found, video_idx=self._truth_idx[chosen][found.video_idx])

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
        wanted = frozenset(self.video_ids if video_ids is None else video_ids)
        keep_V = np.array([video_id in wanted for video_id in self.video_ids], np.bool_)
        return detection_map(self.truth.within(keep_V), detections.within(keep_V))

    @cached_property
    def _aligned(self) -> tuple[Aligned, ...]:
        """Everything that does not depend on the weights, worked out once."""
        return tuple(align(listed) for listed in self.predictions)

    @cached_property
    def _truth_idx(self) -> IntArray:
        """Number of every predicted video in the truth."""
        number = {video_id: index for index, video_id in enumerate(self.video_ids)}
        return np.array([number[listed[0].video_id] for listed in self.predictions], np.int64)
