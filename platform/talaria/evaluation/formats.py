"""The official detections file, in and out: `{"version", "results": {video_id: [...]}, "external_data"}`.

An entry of a video's list is `{"label", "score", "segment": [start_s, end_s]}`. Files are JSON, or JSON in
gzip.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import uuid
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from talaria.errors import DataError
from talaria.records import Detection

VERSION = "VERSION 1.3"
_MOST_PROBLEMS = 20
_GZIP_MAGIC = b"\x1f\x8b"


class _Problems:
    """Everything wrong with one file, the first twenty in words."""

    def __init__(self, path: Path) -> None:
        self.path, self.found, self.number = path, list[str](), 0

    def add(self, where: str, what: str) -> None:
        """Note one problem: which video and field, what was found and expected."""
        self.number += 1
        if self.number <= _MOST_PROBLEMS:
            self.found.append(f"{self.path}: {where}: {what}")

    def raise_if_any(self) -> None:
        """Raise them all at once."""
        if self.number > _MOST_PROBLEMS:
            self.found.append(f"{self.path}: {self.number - _MOST_PROBLEMS} more problems")
        if self.found:
            raise DataError(self.found)


def read_detections(
    path: Path | str,
    classes: Collection[str] | None = None,
    *,
    label_if_absent: str | None = None,
    allow_negative: bool = True,
) -> dict[str, tuple[Detection, ...]]:
    """The detections of a file, videos and entries in file order.

    What the official code defines is kept: unknown videos, zero-length segments, times as numeric strings and
    negative times all have a score there. `version` and `external_data` may be missing, since no score reads
    them.

    Args:
        path: JSON, gzipped or not, whatever its name.
        classes: labels of the dataset; None accepts any.
        label_if_absent: label of entries without one, as in files of proposals; None makes that an error.
        allow_negative: whether a segment may start before 0 s.

    Raises:
        DataError: naming file, video and field of everything that is wrong (20 at most): scores or times that
            are not finite numbers, ends before starts, labels not in `classes`, JSON that is truncated or
            shaped otherwise.
    """
    path = Path(path)
    results = _results(path)
    problems, known = _Problems(path), None if classes is None else frozenset(classes)
    detections: dict[str, tuple[Detection, ...]] = {}
    for video_id, entries in results.items():
        if not isinstance(entries, list):
            problems.add(f"video {video_id!r}", f"found {_shown(entries)}, expected a list of detections")
            continue
        parsed = (_detection(entry, known, label_if_absent, allow_negative) for entry in entries)
        good: list[Detection] = []
        for position, found in enumerate(parsed):
            if isinstance(found, Detection):
                good.append(found)
            else:
                problems.add(f"video {video_id!r}, entry {position}", found)
        detections[video_id] = tuple(good)
    problems.raise_if_any()
    return detections


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
    problems = _Problems(path)
    for video_id, detections in results.items():
        for position, found in enumerate(detections):
            for fault in _faults(found.start_s, found.end_s, found.score, allow_negative=False):
                problems.add(f"video {video_id!r}, entry {position}", fault)
    problems.raise_if_any()
    document = {
        "version": VERSION,
        "results": {video_id: [_entry(found) for found in results[video_id]] for video_id in sorted(results)},
        "external_data": dict(external_data) if external_data is not None else {"used": False},
    }
    content = (json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n").encode()
    _write_atomically(path, gzip.compress(content, 6, mtime=0) if path.name.endswith(".gz") else content)


def _results(path: Path) -> dict[str, Any]:
    """The `results` object of a file."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}), expected a JSON file of detections") from error
    if not text.strip():
        raise DataError(f"{path}: the file is empty, expected a JSON object with `results`")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON, perhaps truncated ({error})") from error
    results = document.get("results") if isinstance(document, dict) else None
    if not isinstance(results, dict):
        found = (
            f"`results` is {_shown(results)}" if isinstance(document, dict) else f"holds {_shown(document)}"
        )
        raise DataError(f"{path}: {found}, expected an object with `results` {{video_id: [detections]}}")
    return results


def _detection(
    entry: Any, known: frozenset[str] | None, label_if_absent: str | None, allow_negative: bool
) -> Detection | str:
    """One entry as a record, or what is wrong with it."""
    if not isinstance(entry, dict):
        return f"found {_shown(entry)}, expected an object with label, score and segment"
    label, given, segment = entry.get("label", label_if_absent), entry.get("score"), entry.get("segment")
    faults: list[str] = []
    if not isinstance(label, str):
        faults.append(f"label is {_shown(label)}, expected a class name")
    elif known is not None and label not in known:
        faults.append(f"label {label!r} is not a class of the dataset")
    score = None if isinstance(given, str) else _number(given)
    if score is None:
        faults.append(f"score is {_shown(given)}, expected a finite number")
    pair = segment if isinstance(segment, list) and len(segment) == 2 else [None, None]
    start_s, end_s = _number(pair[0]), _number(pair[1])
    if start_s is None or end_s is None:
        faults.append(f"segment is {_shown(segment)}, expected [start, end] in seconds")
        start_s = end_s = 0.0
    faults.extend(_faults(start_s, end_s, 0.0 if score is None else score, allow_negative))
    if faults or score is None:
        return "; ".join(faults)
    return Detection(start_s, end_s, str(label), score)


def _faults(start_s: float, end_s: float, score: float, allow_negative: bool) -> Iterator[str]:
    """What is wrong with the numbers of one detection."""
    if not math.isfinite(score):
        yield f"score is {score}, expected a finite number"
    if not (math.isfinite(start_s) and math.isfinite(end_s)):
        yield f"segment is [{start_s}, {end_s}], expected finite seconds"
    elif end_s < start_s:
        yield f"segment is [{start_s}, {end_s}], expected an end at or after the start"
    elif start_s < 0 and not allow_negative:
        yield f"segment is [{start_s}, {end_s}], expected a start at or after 0 s"


def _number(value: Any) -> float | None:
    """A number as the official code reads times, with `float()`; None where that fails."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _shown(value: Any) -> str:
    """A found value, short enough for a message."""
    text = "missing" if value is None else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _entry(found: Detection) -> dict[str, Any]:
    """One detection, keys in their fixed order and numbers at their fixed precision; never -0.0."""
    segment = [round(float(found.start_s), 4) + 0.0, round(float(found.end_s), 4) + 0.0]
    return {"label": found.label, "score": float(f"{found.score:.6g}") + 0.0, "segment": segment}


def _write_atomically(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with aside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
