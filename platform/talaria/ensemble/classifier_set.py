"""What several video classifiers believe about the same videos, and the classes that these have.

Letters: M models, V videos, K classes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from talaria.errors import DataError
from talaria.evaluation.arrays import FloatArray
from talaria.evaluation.video_labels import VideoLabels

_MOST_PROBLEMS = 20


@dataclass(frozen=True, eq=False)
class ClassifierSet:
    """Videos, the logits that every model has for them, and their classes.

    Attributes:
        members: (M,) names of the models.
        logits_MVK: class logits without background.
        labels: of the same V videos; one without a label is fused and judged, but teaches nothing.
    """

    members: tuple[str, ...]
    logits_MVK: FloatArray
    labels: VideoLabels

    @classmethod
    def of(
        cls, logits: Mapping[str, Mapping[str, NDArray[np.floating]]], labels: VideoLabels
    ) -> ClassifierSet:
        """The videos of `labels` that were classified; one that no model knows (a broken file) is left out.

        Args:
            logits: by model and video, (K,) each; other videos than those of `labels` are ignored.
            labels: may hold one subset only.

        Raises:
            DataError: no video, one that only some models know, other classes, or a logit that is not finite;
                naming model and video of all of them, 20 at most.
        """
        known = set().union(*logits.values())
        ids = [video_id for video_id in labels.video_ids if video_id in known]
        problems = [
            f"classifier {member}: video {video_id}: {problem}"
            for member, videos in logits.items()
            for video_id in ids
            if (problem := _problem(videos.get(video_id), len(labels.classes)))
        ]
        if problems or not ids:
            nothing = (
                f"classifiers: none of {len(labels.video_ids)} videos was classified; predict them again"
            )
            raise DataError(problems[:_MOST_PROBLEMS] or nothing)
        stacked = np.array([[videos[one] for one in ids] for videos in logits.values()], np.float64)
        return cls(tuple(logits), stacked, _labels_of(labels, ids))

    def within(self, video_ids: Collection[str]) -> ClassifierSet:
        """Some of the videos, in their order here."""
        wanted = frozenset(video_ids)
        keep = [index for index, name in enumerate(self.video_ids) if name in wanted]
        ids = [self.video_ids[index] for index in keep]
        return replace(self, logits_MVK=self.logits_MVK[:, keep], labels=_labels_of(self.labels, ids))

    def labelled(self) -> ClassifierSet:
        """The videos that have a label.

        Raises:
            DataError: none has.
        """
        rows = np.unique(self.labels.video_idx).tolist()
        if not rows:
            raise DataError(
                f"classifiers: none of {len(self.video_ids)} videos has a label; choose subsets that are "
                "annotated (data.fit_subset, data.judge_subset)"
            )
        return self.within([self.video_ids[row] for row in rows])

    @property
    def video_ids(self) -> tuple[str, ...]:
        """(V,)."""
        return self.labels.video_ids

    @cached_property
    def targets(self) -> FloatArray:
        """(V, K) shares of the classes: uniform over those of a video, zeros without any."""
        target_VK: FloatArray = np.zeros((len(self.video_ids), len(self.labels.classes)))
        target_VK[self.labels.video_idx, self.labels.label_idx] = 1.0
        target_VK /= np.maximum(target_VK.sum(axis=1, keepdims=True), 1.0)
        return target_VK


def _labels_of(labels: VideoLabels, video_ids: Collection[str]) -> VideoLabels:
    """The labels of some videos, numbered in their order."""
    place = {name: index for index, name in enumerate(video_ids)}
    place_V = np.array([place.get(name, -1) for name in labels.video_ids], np.int64)
    moved = place_V[labels.video_idx]
    keep = moved >= 0
    return VideoLabels(tuple(video_ids), labels.classes, moved[keep], labels.label_idx[keep])


def _problem(logits_K: NDArray[np.floating] | None, num_classes: int) -> str | None:
    if logits_K is None:
        return "no logits, but another classifier has some; predict it again"
    if logits_K.shape != (num_classes,):
        return f"logits of shape {logits_K.shape}, expected {num_classes} classes without background"
    return None if np.isfinite(logits_K).all() else "a logit that is not finite"
