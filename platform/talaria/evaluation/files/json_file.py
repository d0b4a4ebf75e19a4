"""The official JSON of detections, proposals and video labels, read into columns and written from records.

Detections: `{"version", "results": {video_id: [{"label", "score", "segment": [start_s, end_s]}]},
"external_data"}`; proposals may lack labels, labels of whole videos lack segments. Entries are read as whole
columns; only a file with an entry that is wrong or not plain is read again, entry by entry.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from talaria.errors import DataError
from talaria.evaluation.files.checks import Problems, shown, wrong_rows
from talaria.evaluation.files.columns import LabelTable, PredictionTable, numbered
from talaria.evaluation.files.content import write_whole
from talaria.evaluation.files.json_entries import Row, detection_row, label_row, read_entries

VERSION = "VERSION 1.3"
_NUMBERS = frozenset({float, int})


class _Repeated(dict[str, Any]):
    """A JSON object in which some key occurs more than once."""

    keys_twice: tuple[str, ...] = ()


def parse_results(path: Path, text: str) -> dict[str, Any]:
    """The `results` object of a file.

    Raises:
        DataError: if the text is not JSON, has no `results`, or has a video in it twice.
    """
    try:
        document = json.loads(text, object_pairs_hook=_json_object)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON, perhaps truncated ({error})") from error
    results = document.get("results") if isinstance(document, dict) else None
    if not isinstance(results, dict):
        found = f"`results` is {shown(results)}" if isinstance(document, dict) else f"holds {shown(document)}"
        raise DataError(f"{path}: {found}, expected an object with `results` {{video_id: [predictions]}}")
    problems = Problems(path)
    if isinstance(document, _Repeated) and "results" in document.keys_twice:
        problems.add("results", "is there more than once, expected once")
    for video_id in results.keys_twice if isinstance(results, _Repeated) else ():
        problems.add(f"video {video_id!r}", "is there more than once, expected one list a video")
    problems.raise_if_any()
    return results


def read_json_detections(
    path: Path,
    text: str,
    known: Collection[str] | None,
    label_if_absent: str | None,
    allow_negative: bool,
) -> PredictionTable:
    """Detections or proposals; see `formats.read_predictions`."""
    results = parse_results(path, text)
    table = _plain_detections(results, label_if_absent)
    if table is not None and not wrong_rows(table, known, allow_negative).any():
        return table

    def row(entry: Any) -> Row | str:
        return detection_row(entry, known, label_if_absent, allow_negative)

    rows, video_idx = read_entries(path, results, row)
    labels, label_idx = numbered(label for label, *_ in rows)
    score, start_s, end_s = np.array([numbers for _, *numbers in rows], np.float64).reshape(-1, 3).T
    return PredictionTable(tuple(results), labels, video_idx, label_idx, score, start_s, end_s)


def read_json_labels(path: Path, text: str, known: Collection[str] | None) -> LabelTable:
    """Labels of whole videos; see `formats.read_label_scores`."""
    results = parse_results(path, text)
    table = _plain_labels(results, None)
    if table is not None and not wrong_rows(table, known, True).any():
        return table
    rows, video_idx = read_entries(path, results, lambda entry: label_row(entry, known))
    labels, label_idx = numbered(label for label, *_ in rows)
    score = np.array([score for _, score, *_ in rows], np.float64)
    return LabelTable(tuple(results), labels, video_idx, label_idx, score)


def write_json(path: Path, results: Mapping[str, Any], external_data: Mapping[str, Any] | None) -> None:
    """Write an official file whose bytes depend on its content alone; gzipped if the name ends in `.gz`."""
    document = {
        "version": VERSION,
        "results": {video_id: results[video_id] for video_id in sorted(results)},
        "external_data": dict(external_data) if external_data is not None else {"used": False},
    }
    content = (json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n").encode()
    write_whole(path, gzip.compress(content, 6, mtime=0) if path.name.endswith(".gz") else content)


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    result = _Repeated(plain)
    result.keys_twice = tuple(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return result


def _plain_labels(results: Mapping[str, Any], label_if_absent: str | None) -> LabelTable | None:
    """The columns that all formats share; None if some entry is not plain."""
    lists = list(results.values())
    if not set(map(type, lists)) <= {list}:
        return None
    entries = list(chain.from_iterable(lists))
    try:
        scores = list(map(itemgetter("score"), entries))
        if label_if_absent is None:
            names = list(map(itemgetter("label"), entries))
        else:
            names = [entry.get("label", label_if_absent) for entry in entries]
        if not (set(map(type, scores)) <= _NUMBERS and set(map(type, names)) <= {str}):
            return None
        score = np.array(scores, np.float64)
    except (KeyError, TypeError, AttributeError, OverflowError):
        return None
    labels, label_idx = numbered(names)
    video_idx = np.repeat(np.arange(len(lists)), list(map(len, lists)))
    return LabelTable(tuple(results), labels, video_idx, label_idx, score)


def _plain_detections(results: Mapping[str, Any], label_if_absent: str | None) -> PredictionTable | None:
    """All columns; None if some entry is not plain."""
    shared = _plain_labels(results, label_if_absent)
    if shared is None:
        return None
    try:
        segments = list(map(itemgetter("segment"), chain.from_iterable(results.values())))
        if not (set(map(type, segments)) <= {list} and set(map(len, segments)) <= {2}):
            return None
        times = list(chain.from_iterable(segments))
        if not set(map(type, times)) <= _NUMBERS:
            return None
        start_s, end_s = np.array(times, np.float64).reshape(-1, 2).T
    except (KeyError, TypeError, OverflowError):
        return None
    return PredictionTable(
        shared.video_ids, shared.labels, shared.video_idx, shared.label_idx, shared.score, start_s, end_s
    )
