"""What predictions are judged by: one subset of an annotation file, as official code sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from talaria.data.annotations import SUBSETS, canonical_subset, load_annotations
from talaria.errors import DataError
from talaria.evaluation.arrays import UNKNOWN, FloatArray, GroundTruth, IntArray
from talaria.evaluation.video_labels import VideoLabels
from talaria.records import Video


@dataclass(frozen=True)
class Scene:
    """One annotated subset.

    Attributes:
        annotations: the file.
        subset: its name there, in Talaria's spelling.
        classes: labels of the whole file.
        videos: those of the subset.
        notes: one sentence per kind of oddity of the file.
    """

    annotations: Path
    subset: str
    classes: tuple[str, ...]
    videos: tuple[Video, ...]
    notes: tuple[str, ...]

    @cached_property
    def truth(self) -> GroundTruth:
        """Its segments.

        Raises:
            DataError: there are none.
        """
        self._require(any(video.annotations for video in self.videos), "annotated segment")
        return GroundTruth.of_videos(self.videos, self.classes)

    @cached_property
    def labels(self) -> VideoLabels:
        """The labels of its videos, with times or without.

        Raises:
            DataError: there are none.
        """
        self._require(any(video.annotations or video.labels for video in self.videos), "labelled video")
        return VideoLabels.of_videos(self.videos, self.classes)

    @property
    def durations_s(self) -> FloatArray:
        """(V,) length of every video, NaN where the file names none."""
        lengths_s = [np.nan if video.duration_s is None else video.duration_s for video in self.videos]
        return np.array(lengths_s, np.float64)

    def described(self) -> str:
        """For a title: `validation (4728 videos, 7292 segments)`."""
        num_segments = sum(len(video.annotations) for video in self.videos)
        return f"{self.subset} ({len(self.videos)} videos, {num_segments} segments)"

    def coverage(self, predictions: Path, video_idx: IntArray) -> tuple[str, ...]:
        """How the videos of a predictions file, numbered as the subset's, do not match the subset."""
        strange = int((video_idx == UNKNOWN).sum())
        silent = len(self.videos) - np.unique(video_idx[video_idx != UNKNOWN]).size
        notes = []
        if strange:
            notes.append(
                f"{predictions}: {strange} of {video_idx.size} rows are of videos outside the subset: they "
                "count as predictions of it that hit nothing"
            )
        if silent:
            notes.append(
                f"{predictions}: has nothing for {silent} of {len(self.videos)} videos of the subset"
            )
        return tuple(notes)

    def _require(self, there: bool, what: str) -> None:
        if not there:
            raise DataError(f"{self.annotations}: no {what} in subset {self.subset!r} (--subset)")


def read_scene(annotations: Path, subset: str) -> Scene:
    """One subset of an annotation file of any layout; no video file is needed.

    Raises:
        DataError: everything wrong with the file, or a subset without videos.
    """
    name = canonical_subset(subset)
    loaded = load_annotations(annotations, None, subsets=_with(SUBSETS, name), ends="kept")
    videos = loaded.dataset.subset(name)
    if not videos:
        there = ", ".join(loaded.dataset.subsets())
        raise DataError(f"{annotations}: no video in subset {subset!r} (--subset); found {there}")
    return Scene(annotations, name, loaded.dataset.classes, videos, loaded.notes)


def _with(names: Sequence[str], name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*names, name)))
