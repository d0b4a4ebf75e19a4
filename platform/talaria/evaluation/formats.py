"""Prediction files in and out: official JSON, Parquet, and THUMOS14's text, told apart by their content.

Readers give columns (`PredictionTable`, `LabelTable`), which number themselves as a ground truth does;
`read_detections` gives records instead. `docs/guides/formats.md` shows each format.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from talaria.errors import DataError
from talaria.evaluation.arrays import Detections
from talaria.evaluation.files.checks import Problems, check_rows, score_faults, span_faults
from talaria.evaluation.files.columns import LabelTable, PredictionTable
from talaria.evaluation.files.content import begins_with, read_text
from talaria.evaluation.files.json_file import read_json_detections, read_json_labels, write_json
from talaria.evaluation.files.parquet_file import (
    MAGIC,
    read_parquet_detections,
    read_parquet_labels,
    write_parquet,
)
from talaria.evaluation.files.thumos_text import is_thumos_text, read_thumos_text
from talaria.records import Detection

_HEAD = 4096
"""Characters among which a JSON text has begun."""


def read_predictions(
    path: Path | str,
    classes: Collection[str] | None = None,
    *,
    label_if_absent: str | None = None,
    allow_negative: bool = True,
) -> PredictionTable:
    """The scored segments of a file in any format, in file order.

    What the official code defines is kept: unknown videos, zero-length segments, times as numeric strings and
    negative times all have a score there. `version` and `external_data` may be missing, since no score reads
    them.

    Args:
        path: official JSON or THUMOS14's text, gzipped or not, or Parquet; its name does not count.
        classes: labels of the dataset; None accepts any.
        label_if_absent: label of entries without one, as in files of proposals; None makes that an error.
        allow_negative: whether a segment may start before 0 s.

    Raises:
        DataError: naming file, video and field of everything that is wrong (20 at most): scores or times that
            are not finite numbers, ends before starts, labels not in `classes`, a video twice, a file that is
            empty, truncated or shaped otherwise.
    """
    path, known = Path(path), None if classes is None else frozenset(classes)
    if begins_with(path, MAGIC):
        return read_parquet_detections(path, known, label_if_absent, allow_negative)
    text = read_text(path)
    if is_thumos_text(text):
        return read_thumos_text(path, text, known, allow_negative)
    if text[:_HEAD].lstrip()[:1] not in ("{", "["):
        raise DataError(
            f"{path}: is none of the known formats, expected official JSON, Parquet, or THUMOS14's lines of "
            "video, start, end, class number and score"
        )
    return read_json_detections(path, text, known, label_if_absent, allow_negative)


def read_detections(
    path: Path | str,
    classes: Collection[str] | None = None,
    *,
    label_if_absent: str | None = None,
    allow_negative: bool = True,
) -> dict[str, tuple[Detection, ...]]:
    """The same as `read_predictions`, as records by video; videos and entries in file order."""
    table = read_predictions(path, classes, label_if_absent=label_if_absent, allow_negative=allow_negative)
    return table.results()


def write_detections(
    path: Path | str,
    results: Mapping[str, Sequence[Detection]],
    *,
    external_data: Mapping[str, Any] | None = None,
) -> None:
    """Write an official file whose bytes depend on the detections alone; gzipped if the name ends in `.gz`.

    Videos are in the order of their ids, entries in the order given; seconds have 4 decimals, scores 6
    significant digits. The file appears whole or not at all.

    Args:
        path: the file; its folder must exist.
        results: detections of every video, best first.
        external_data: what the official form asks about other training data; `{"used": False}` unless given.

    Raises:
        DataError: naming video and field of every score or time that is not finite, negative or reversed
            time.
    """
    path = Path(path)
    problems = Problems(path)
    for video_id, detections in results.items():
        for position, found in enumerate(detections):
            faults = (*span_faults(found.start_s, found.end_s, False), *score_faults(found.score))
            for fault in faults:
                problems.add(f"video {video_id!r}, entry {position}", fault)
    problems.raise_if_any()
    entries = {video_id: [_entry(found) for found in listed] for video_id, listed in results.items()}
    write_json(path, entries, external_data)


def write_predictions(path: Path | str, table: PredictionTable) -> None:
    """Write a table as Parquet if the name ends in `.parquet`, else as `write_detections` does.

    Parquet keeps every digit, and no videos without rows.

    Raises:
        DataError: naming video and field of every score or time that is not finite, negative or reversed
            time.
    """
    path = Path(path)
    if path.suffix != ".parquet":
        write_detections(path, table.results())
        return
    problems = Problems(path)
    check_rows(problems, table, None, allow_negative=False, unit="row")
    problems.raise_if_any()
    write_parquet(path, table)


def read_label_scores(path: Path | str, classes: Collection[str] | None = None) -> LabelTable:
    """The scored labels of whole videos, in file order.

    Args:
        path: official JSON, gzipped or not, or Parquet; its name does not count. Segments are not read.
        classes: labels of the dataset; None accepts any.

    Raises:
        DataError: naming file, video and field of everything that is wrong (20 at most).
    """
    path, known = Path(path), None if classes is None else frozenset(classes)
    if begins_with(path, MAGIC):
        return read_parquet_labels(path, known)
    return read_json_labels(path, read_text(path), known)


def write_label_scores(
    path: Path | str, table: LabelTable, *, external_data: Mapping[str, Any] | None = None
) -> None:
    """Write labels of whole videos as Parquet if the name ends in `.parquet`, else as official JSON.

    Raises:
        DataError: naming video and row of every score that is not finite.
    """
    path = Path(path)
    problems = Problems(path)
    check_rows(problems, table, None, allow_negative=True, unit="row")
    problems.raise_if_any()
    if path.suffix == ".parquet":
        write_parquet(path, table)
        return
    entries = {
        video_id: [{"label": label, "score": _score(score)} for label, score in listed]
        for video_id, listed in table.label_results().items()
    }
    write_json(path, entries, external_data)


def as_written(detections: Detections) -> Detections:
    """The numbers that a file of these detections holds: rounding may move a tIoU over a threshold."""
    return replace(
        detections,
        start_s=np.array([_seconds(time_s) for time_s in detections.start_s.tolist()]),
        end_s=np.array([_seconds(time_s) for time_s in detections.end_s.tolist()]),
        score=np.array([_score(score) for score in detections.score.tolist()]),
    )


def _entry(found: Detection) -> dict[str, Any]:
    """One detection, keys in their fixed order and numbers at their fixed precision."""
    segment = [_seconds(found.start_s), _seconds(found.end_s)]
    return {"label": found.label, "score": _score(found.score), "segment": segment}


def _seconds(time_s: float) -> float:
    """Four decimals, never -0.0."""
    return round(float(time_s), 4) + 0.0


def _score(score: float) -> float:
    """Six significant digits, never -0.0."""
    return float(f"{score:.6g}") + 0.0
