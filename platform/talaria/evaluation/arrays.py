"""Truths and detections as flat arrays: what searches score thousands of times without touching an object.

Letters: G truths, N detections, K classes, V videos, A spans.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from talaria.errors import DataError
from talaria.records import Detection, Video

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

UNKNOWN = -1
"""Index of a video that the ground truth does not have; its detections are false positives."""

_TABLE = 4
"""Cells of a lookup table per wanted key up to which it beats a binary search."""


@dataclass(frozen=True)
class Groups:
    """Rows that share a key, in file order within each group.

    Attributes:
        keys: (M,) distinct keys, ascending.
        first: (M,) position in `order` where each group begins.
        sizes: (M,) rows of each group.
        order: row numbers, group after group.
    """

    keys: IntArray
    first: IntArray
    sizes: IntArray
    order: IntArray

    @classmethod
    def of(cls, row_keys: IntArray) -> Groups:
        """Group rows by their key."""
        order = np.argsort(row_keys, kind="stable")
        keys, first, sizes = np.unique(row_keys[order], return_index=True, return_counts=True)
        return cls(keys, first, sizes, order)

    def find(self, wanted: IntArray) -> tuple[IntArray, BoolArray]:
        """The group of each wanted key, and whether there is one (the number is arbitrary where not)."""
        if not self.keys.size:
            return np.zeros(wanted.shape, np.int64), np.zeros(wanted.shape, np.bool_)
        low, high = int(self.keys[0]), int(self.keys[-1])
        if high - low < _TABLE * wanted.size:
            table = np.zeros(high - low + 1, np.int64)
            table[self.keys - low] = np.arange(self.keys.size)
            group = table[np.clip(wanted, low, high) - low]
        else:
            group = np.minimum(np.searchsorted(self.keys, wanted), self.keys.size - 1)
        return group, self.keys[group] == wanted


@dataclass(frozen=True)
class Spans:
    """Stretches of videos that have no label.

    Attributes:
        video_idx: (A,) numbers of `GroundTruth.video_ids`.
        start_s: (A,) seconds.
        end_s: (A,) seconds, at or after `start_s`.
    """

    video_idx: IntArray
    start_s: FloatArray
    end_s: FloatArray

    def __post_init__(self) -> None:
        settle_columns(self)

    @classmethod
    def none(cls) -> Spans:
        """No stretch at all."""
        return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))

    @cached_property
    def by_video(self) -> Groups:
        """Spans grouped by video; worked out once."""
        return Groups.of(self.video_idx)


@dataclass(frozen=True)
class GroundTruth:
    """The annotated segments of a set of videos, in file order.

    Attributes:
        video_ids: (V,) names behind `video_idx`.
        classes: (K,) labels behind `label_idx`.
        video_idx: (G,) in [0, V).
        label_idx: (G,) in [0, K).
        start_s: (G,) seconds.
        end_s: (G,) seconds, at or after `start_s`.
        ambiguous: what the THUMOS14 rules leave out of the judgement; no other score reads it.
    """

    video_ids: tuple[str, ...]
    classes: tuple[str, ...]
    video_idx: IntArray
    label_idx: IntArray
    start_s: FloatArray
    end_s: FloatArray
    ambiguous: Spans = field(default_factory=Spans.none)

    def __post_init__(self) -> None:
        settle_columns(self)
        check_range("video_idx", self.video_idx, len(self.video_ids))
        check_range("label_idx", self.label_idx, len(self.classes))
        check_range("ambiguous.video_idx", self.ambiguous.video_idx, len(self.video_ids))

    @classmethod
    def of_videos(cls, videos: Iterable[Video], classes: Sequence[str]) -> GroundTruth:
        """The annotations of some videos; videos without any are kept in `video_ids`.

        Raises:
            DataError: naming each label that is not among `classes` (all at once, 20 at most).
        """
        videos, number = tuple(videos), {label: index for index, label in enumerate(classes)}
        rows = [(index, note) for index, video in enumerate(videos) for note in video.annotations]
        check_known("annotations", {note.label for _, note in rows}, number)
        spans = [(index, *span) for index, video in enumerate(videos) for span in video.ambiguous]
        return cls(
            tuple(video.video_id for video in videos),
            tuple(classes),
            np.array([index for index, _ in rows], np.int64),
            np.array([number[note.label] for _, note in rows], np.int64),
            np.array([note.start_s for _, note in rows], np.float64),
            np.array([note.end_s for _, note in rows], np.float64),
            Spans(*np.array(spans, np.float64).reshape(-1, 3).T),
        )

    def within(self, keep_V: BoolArray) -> GroundTruth:
        """Only the truths and spans of the chosen videos; videos and classes keep their numbers."""
        spans = _rows(self.ambiguous, keep_V[self.ambiguous.video_idx])
        return replace(_rows(self, keep_V[self.video_idx]), ambiguous=spans)

    @cached_property
    def by_video(self) -> Groups:
        """Truths grouped by video; worked out once."""
        return Groups.of(self.video_idx)

    @cached_property
    def by_video_and_label(self) -> Groups:
        """Truths grouped by `video_idx * K + label_idx`; worked out once."""
        return Groups.of(self.video_idx * len(self.classes) + self.label_idx)

    @cached_property
    def truths_per_class(self) -> IntArray:
        """(K,) number of truths of each class."""
        return np.bincount(self.label_idx, minlength=len(self.classes))


@dataclass(frozen=True)
class Detections:
    """Scored, labelled segments in file order; between equal scores the later one ranks first.

    Attributes:
        video_idx: (N,) numbers of `GroundTruth.video_ids`, or `UNKNOWN`.
        label_idx: (N,) numbers of `GroundTruth.classes`; AR@AN does not read them.
        start_s: (N,) seconds.
        end_s: (N,) seconds.
        score: (N,) finite, higher is better.
    """

    video_idx: IntArray
    label_idx: IntArray
    start_s: FloatArray
    end_s: FloatArray
    score: FloatArray

    def __post_init__(self) -> None:
        settle_columns(self)
        _check_scores(self.score)

    @classmethod
    def of_results(cls, results: Mapping[str, Sequence[Detection]], truth: GroundTruth) -> Detections:
        """Number the videos and labels of `{video_id: detections}` as the ground truth does.

        Raises:
            DataError: naming each label that the ground truth's class list lacks (20 at most).
        """
        video = {name: index for index, name in enumerate(truth.video_ids)}
        label = {name: index for index, name in enumerate(truth.classes)}
        rows = [(video.get(name, UNKNOWN), found) for name, listed in results.items() for found in listed]
        check_known("detections", {found.label for _, found in rows}, label)
        return cls(
            np.array([index for index, _ in rows], np.int64),
            np.array([label[found.label] for _, found in rows], np.int64),
            np.array([found.start_s for _, found in rows], np.float64),
            np.array([found.end_s for _, found in rows], np.float64),
            np.array([found.score for _, found in rows], np.float64),
        )

    @classmethod
    def joined(cls, parts: Sequence[Detections]) -> Detections:
        """Several tables as one, in the order given."""
        columns = [[getattr(part, column.name) for part in parts] for column in fields(cls)]
        return cls(*(np.concatenate(column) for column in columns))

    def within(self, keep_V: BoolArray) -> Detections:
        """Only the detections of the chosen videos; those of unknown videos are left out."""
        return _rows(self, (self.video_idx != UNKNOWN) & keep_V[self.video_idx])


@dataclass(frozen=True)
class LabelScores:
    """Scored labels of whole videos in file order; between equal scores the later one ranks first.

    Attributes:
        video_idx: (N,) numbers of `GroundTruth.video_ids`, or `UNKNOWN`.
        label_idx: (N,) numbers of `GroundTruth.classes`.
        score: (N,) finite, higher is better.
    """

    video_idx: IntArray
    label_idx: IntArray
    score: FloatArray

    def __post_init__(self) -> None:
        settle_columns(self)
        _check_scores(self.score)


Table = TypeVar("Table", GroundTruth, Detections, Spans)


def _rows(table: Table, keep: BoolArray) -> Table:
    """The chosen rows of a table; its names stay whole."""
    columns = {column.name: getattr(table, column.name) for column in fields(table)}
    chosen: dict[str, Any] = {
        name: column[keep] for name, column in columns.items() if isinstance(column, np.ndarray)
    }
    return replace(table, **chosen)


def settle_columns(table: Any) -> None:
    """Give every column of a dataclass its type, and check that all are one-dimensional and equally long."""
    columns = [column.name for column in fields(table) if column.name.endswith(("_idx", "_s", "score"))]
    for name in columns:
        kind = np.int64 if name.endswith("_idx") else np.float64
        object.__setattr__(table, name, np.asarray(getattr(table, name), kind))
    shapes = {name: getattr(table, name).shape for name in columns}
    if len(set(shapes.values())) != 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"columns of {type(table).__name__} differ in shape: {shapes}")


def check_range(name: str, numbers: IntArray, end: int) -> None:
    """Refuse numbers outside [0, end)."""
    if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < end:
        raise ValueError(f"{name} spans [{numbers.min()}, {numbers.max()}], expected [0, {end})")


def check_known(where: str, labels: Collection[str], classes: Collection[str]) -> None:
    """Refuse labels that the class list lacks, naming twenty at most."""
    strange = sorted(set(labels) - set(classes))
    if strange:
        raise DataError(
            [f"{where}: label {label!r} is not among the dataset's classes" for label in strange[:20]]
        )


def _check_scores(score: FloatArray) -> None:
    if not np.isfinite(score).all():
        raise ValueError(f"{int((~np.isfinite(score)).sum())} of {score.size} scores are not finite")
