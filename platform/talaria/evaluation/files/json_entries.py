"""The official JSON entry by entry: what is readable without being plain, and words for what is not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from talaria.evaluation.arrays import IntArray
from talaria.evaluation.files.checks import Problems, score_faults, shown, span_faults, strange_label

Row: TypeAlias = tuple[str, float, float, float]
"""Label, score, start and end of one entry."""


def read_entries(
    path: Path, results: Mapping[str, Any], row: Callable[[Any], Row | str]
) -> tuple[list[Row], IntArray]:
    """Entry by entry: the rows and the number of each one's video.

    Raises:
        DataError: naming video and field of everything that is wrong (20 at most).
    """
    problems, rows, videos = Problems(path), list[Row](), list[int]()
    for number, (video_id, entries) in enumerate(results.items()):
        if not isinstance(entries, list):
            problems.add(f"video {video_id!r}", f"found {shown(entries)}, expected a list of detections")
            continue
        for position, entry in enumerate(entries):
            found = row(entry)
            if isinstance(found, str):
                problems.add(f"video {video_id!r}, entry {position}", found)
            else:
                rows.append(found)
                videos.append(number)
    problems.raise_if_any()
    return rows, np.array(videos, np.int64)


def detection_row(
    entry: Any, known: Collection[str] | None, label_if_absent: str | None, allow_negative: bool
) -> Row | str:
    """One entry as a row, or what is wrong with it."""
    if not isinstance(entry, dict):
        return f"found {shown(entry)}, expected an object with label, score and segment"
    label, score, faults = _label_and_score(entry, known, label_if_absent)
    segment = entry.get("segment")
    pair = segment if isinstance(segment, list) and len(segment) == 2 else [None, None]
    start_s, end_s = _number(pair[0]), _number(pair[1])
    if start_s is None or end_s is None:
        faults.append(f"segment is {shown(segment)}, expected [start, end] in seconds")
        return "; ".join(faults)
    faults.extend(span_faults(start_s, end_s, allow_negative))
    return "; ".join(faults) if faults else (label, score, start_s, end_s)


def label_row(entry: Any, known: Collection[str] | None) -> Row | str:
    """One label of a whole video as a row without times, or what is wrong with it."""
    if not isinstance(entry, dict):
        return f"found {shown(entry)}, expected an object with label and score"
    label, score, faults = _label_and_score(entry, known, None)
    return "; ".join(faults) if faults else (label, score, 0.0, 0.0)


def _label_and_score(
    entry: Mapping[str, Any], known: Collection[str] | None, label_if_absent: str | None
) -> tuple[str, float, list[str]]:
    """Label and score of an entry, and what is wrong with them."""
    label, given, faults = entry.get("label", label_if_absent), entry.get("score"), list[str]()
    if not isinstance(label, str):
        faults.append(f"label is {shown(label)}, expected a class name")
    elif known is not None and label not in known:
        faults.append(strange_label(label))
    score = None if isinstance(given, str) else _number(given)
    if score is None:
        faults.append(f"score is {shown(given)}, expected a finite number")
        score = 0.0
    faults.extend(score_faults(score))
    return str(label), score, faults


def _number(value: Any) -> float | None:
    """A number as the official code reads times, with `float()`; None where that fails."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
