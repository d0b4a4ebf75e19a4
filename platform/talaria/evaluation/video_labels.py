"""The true labels of whole videos: what classification is judged by, with times or without.

Letters: M pairs of a video and a label, K classes, V videos.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from talaria.evaluation.arrays import (
    GroundTruth,
    Groups,
    IntArray,
    check_known,
    check_range,
    settle_columns,
)
from talaria.records import Video


@dataclass(frozen=True)
class VideoLabels:
    """Which videos have which labels, each pair once.

    Attributes:
        video_ids: (V,) names behind `video_idx`.
        classes: (K,) labels behind `label_idx`.
        video_idx: (M,) in [0, V).
        label_idx: (M,) in [0, K).
    """

    video_ids: tuple[str, ...]
    classes: tuple[str, ...]
    video_idx: IntArray
    label_idx: IntArray

    def __post_init__(self) -> None:
        settle_columns(self)
        check_range("video_idx", self.video_idx, len(self.video_ids))
        check_range("label_idx", self.label_idx, len(self.classes))
        if np.unique(self.keys).size != self.keys.size:
            raise ValueError("VideoLabels names a label of a video twice, expected each pair once")

    @classmethod
    def of_videos(cls, videos: Iterable[Video], classes: Sequence[str]) -> VideoLabels:
        """The labels of some videos, and those of their annotations; videos without any are kept.

        Raises:
            DataError: naming each label that is not among `classes` (all at once, 20 at most).
        """
        videos, number = tuple(videos), {label: index for index, label in enumerate(classes)}
        labels = [{*video.labels, *(note.label for note in video.annotations)} for video in videos]
        check_known("annotations", set().union(*labels), number)
        keys = [index * len(classes) + number[label] for index, found in enumerate(labels) for label in found]
        return cls._of_keys(
            tuple(video.video_id for video in videos), tuple(classes), np.array(keys, np.int64)
        )

    @classmethod
    def of_truth(cls, truth: GroundTruth) -> VideoLabels:
        """The labels of the segments."""
        keys = truth.video_idx * len(truth.classes) + truth.label_idx
        return cls._of_keys(truth.video_ids, truth.classes, keys)

    @classmethod
    def _of_keys(cls, video_ids: tuple[str, ...], classes: tuple[str, ...], keys: IntArray) -> VideoLabels:
        video_idx, label_idx = np.divmod(np.unique(keys), max(len(classes), 1))
        return cls(video_ids, classes, video_idx, label_idx)

    @cached_property
    def keys(self) -> IntArray:
        """(M,) `video_idx * K + label_idx`."""
        return self.video_idx * len(self.classes) + self.label_idx

    @cached_property
    def by_video(self) -> Groups:
        """Pairs grouped by video; worked out once."""
        return Groups.of(self.video_idx)

    @cached_property
    def by_video_and_label(self) -> Groups:
        """Pairs grouped by their key, one in each group; worked out once."""
        return Groups.of(self.keys)
