"""Predictions as flat columns, which every file format is read into and written from.

Letters: N predictions, V videos, L labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np

from talaria.errors import DataError
from talaria.evaluation.arrays import UNKNOWN, Detections, FloatArray, IntArray, LabelScores
from talaria.records import Detection


class Numbering(Protocol):
    """What numbers videos and labels: a `GroundTruth`, or the labels of whole videos."""

    @property
    def video_ids(self) -> tuple[str, ...]:
        """Names of the videos."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels."""


@dataclass(frozen=True)
class LabelTable:
    """Scored labels of whole videos, in file order.

    Attributes:
        video_ids: (V,) names behind `video_idx`; a video may have no rows.
        labels: (L,) names behind `label_idx`, each once.
        video_idx: (N,) in [0, V).
        label_idx: (N,) in [0, L).
        score: (N,) finite, higher is better.
    """

    video_ids: tuple[str, ...]
    labels: tuple[str, ...]
    video_idx: IntArray
    label_idx: IntArray
    score: FloatArray

    @classmethod
    def of_label_results(cls, results: Mapping[str, Sequence[tuple[str, float]]]) -> LabelTable:
        """The columns of `{video_id: [(label, score), ...]}`."""
        rows = list(chain.from_iterable(results.values()))
        labels, label_idx = numbered(label for label, _ in rows)
        score = np.array([score for _, score in rows], np.float64)
        return LabelTable(tuple(results), labels, _video_idx(results), label_idx, score)

    def label_results(self) -> dict[str, list[tuple[str, float]]]:
        """`{video_id: [(label, score), ...]}`, videos and rows in file order."""
        results: dict[str, list[tuple[str, float]]] = {video_id: [] for video_id in self.video_ids}
        rows = zip(self.video_idx.tolist(), self.label_idx.tolist(), self.score.tolist(), strict=True)
        for video, label, score in rows:
            results[self.video_ids[video]].append((self.labels[label], score))
        return results

    def label_scores(self, truth: Numbering) -> LabelScores:
        """The same rows, numbered as the truth does; videos that it lacks are `UNKNOWN`.

        Raises:
            DataError: naming each label that the truth's class list lacks (20 at most).
        """
        return LabelScores(self.numbered_videos(truth), self.numbered_labels(truth), self.score)

    def numbered_videos(self, truth: Numbering) -> IntArray:
        """(N,) numbers of the truth's videos, or `UNKNOWN`."""
        number = {name: index for index, name in enumerate(truth.video_ids)}
        found = np.array([number.get(name, UNKNOWN) for name in self.video_ids], np.int64)
        return found[self.video_idx]

    def numbered_labels(self, truth: Numbering) -> IntArray:
        """(N,) numbers of the truth's classes.

        Raises:
            DataError: naming each label that the truth's class list lacks (20 at most).
        """
        number = {name: index for index, name in enumerate(truth.classes)}
        strange = sorted(set(self.labels) - number.keys())
        if strange:
            raise DataError(
                [f"predictions: label {name!r} is not among the dataset's classes" for name in strange[:20]]
            )
        return np.array([number[name] for name in self.labels], np.int64)[self.label_idx]


@dataclass(frozen=True)
class PredictionTable(LabelTable):
    """Scored, labelled segments in file order.

    Attributes:
        start_s: (N,) seconds, finite; before 0 s only where the reader allows it.
        end_s: (N,) seconds, at or after `start_s`.
    """

    start_s: FloatArray
    end_s: FloatArray

    @classmethod
    def of_results(cls, results: Mapping[str, Sequence[Detection]]) -> PredictionTable:
        """The columns of `{video_id: detections}`."""
        rows = list(chain.from_iterable(results.values()))
        labels, label_idx = numbered(found.label for found in rows)
        return cls(
            tuple(results),
            labels,
            _video_idx(results),
            label_idx,
            np.array([found.score for found in rows], np.float64),
            np.array([found.start_s for found in rows], np.float64),
            np.array([found.end_s for found in rows], np.float64),
        )

    def results(self) -> dict[str, tuple[Detection, ...]]:
        """`{video_id: detections}`, videos and rows in file order; a video may have an empty tuple."""
        order = np.argsort(self.video_idx, kind="stable")
        labels = [self.labels[label] for label in self.label_idx[order].tolist()]
        start_s, end_s, score = (column[order].tolist() for column in (self.start_s, self.end_s, self.score))
        found = list(map(Detection, start_s, end_s, labels, score))
        ends = np.cumsum(np.bincount(self.video_idx, minlength=len(self.video_ids))).tolist()
        spans = zip(self.video_ids, [0, *ends], ends, strict=False)
        return {video_id: tuple(found[begin:end]) for video_id, begin, end in spans}

    def detections(self, truth: Numbering) -> Detections:
        """The same rows, numbered as the truth does; videos that it lacks are `UNKNOWN`.

        Raises:
            DataError: naming each label that the truth's class list lacks (20 at most).
        """
        return Detections(
            self.numbered_videos(truth), self.numbered_labels(truth), self.start_s, self.end_s, self.score
        )

    def proposals(self, truth: Numbering) -> Detections:
        """The same segments for AR@AN, which reads no labels: all have the first class here."""
        video_idx = self.numbered_videos(truth)
        return Detections(video_idx, np.zeros_like(video_idx), self.start_s, self.end_s, self.score)


def numbered(names: Iterable[str]) -> tuple[tuple[str, ...], IntArray]:
    """Distinct names in the order of their first appearance, and the number of each."""
    number: dict[str, int] = {}
    idx = [number.setdefault(name, len(number)) for name in names]
    return tuple(number), np.array(idx, np.int64)


def _video_idx(results: Mapping[str, Sequence[object]]) -> IntArray:
    """(N,) number of the video of each row."""
    return np.repeat(np.arange(len(results)), [len(listed) for listed in results.values()])
