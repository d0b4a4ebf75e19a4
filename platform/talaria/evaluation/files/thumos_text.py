"""Detections as THUMOS14's evaluation kit reads them: lines of `video start_s end_s class_number score`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from talaria.evaluation.files.checks import Problems, score_faults, span_faults, strange_label
from talaria.evaluation.files.columns import PredictionTable, numbered

CLASS_NUMBERS = {
    7: "BaseballPitch",
    9: "BasketballDunk",
    12: "Billiards",
    21: "CleanAndJerk",
    22: "CliffDiving",
    23: "CricketBowling",
    24: "CricketShot",
    26: "Diving",
    31: "FrisbeeCatch",
    33: "GolfSwing",
    36: "HammerThrow",
    40: "HighJump",
    45: "JavelinThrow",
    51: "LongJump",
    68: "PoleVault",
    79: "Shotput",
    85: "SoccerPenalty",
    92: "TennisSwing",
    93: "ThrowDiscus",
    97: "VolleyballSpiking",
}
"""The 20 detection classes among THUMOS14's 101 action classes. Source: detclasslist.txt of the kit."""

_LABELS = {str(number): label for number, label in CLASS_NUMBERS.items()}
_FIELDS = "video, start, end, class number and score"
_HEAD = 4096
"""Characters that surely hold the first line."""


def is_thumos_text(text: str) -> bool:
    """Whether the first line of a text that is not empty has a video and four numbers."""
    first = text[:_HEAD].lstrip().partition("\n")[0].split()
    return len(first) == 5 and all(_number(field) is not None for field in first[1:])


def read_thumos_text(
    path: Path, text: str, known: Collection[str] | None, allow_negative: bool
) -> PredictionTable:
    """The detections of a file in file order; see `formats.read_predictions`.

    Raises:
        DataError: naming line, video and field of everything that is wrong (20 at most).
    """
    problems, rows = Problems(path), list[tuple[str, str, float, float, float]]()
    for line, fields in enumerate(map(str.split, text.splitlines()), 1):
        if not fields:
            continue
        if len(fields) != 5:
            problems.add(f"line {line}", f"found {len(fields)} fields, expected {_FIELDS}")
            continue
        video_id, *numbers = fields
        start_s, end_s, score = (_number(numbers[place]) for place in (0, 1, 3))
        label = _LABELS.get(numbers[2])
        faults = _faults(label, numbers, known)
        if start_s is not None and end_s is not None and score is not None:
            faults += [*span_faults(start_s, end_s, allow_negative), *score_faults(score)]
            if label is not None and not faults:
                rows.append((video_id, label, score, start_s, end_s))
        if faults:
            problems.add(f"line {line}, video {video_id!r}", "; ".join(faults))
    problems.raise_if_any()
    return _table(rows)


def _faults(label: str | None, numbers: list[str], known: Collection[str] | None) -> list[str]:
    """What is wrong with the fields of a line as text."""
    faults = [
        f"{name} is {numbers[place]!r}, expected a number"
        for name, place in (("start", 0), ("end", 1), ("score", 3))
        if _number(numbers[place]) is None
    ]
    if label is None:
        faults.append(f"class is {numbers[2]!r}, expected one of {', '.join(map(str, CLASS_NUMBERS))}")
    elif known is not None and label not in known:
        faults.append(strange_label(label))
    return faults


def _table(rows: list[tuple[str, str, float, float, float]]) -> PredictionTable:
    video_ids, video_idx = numbered(row[0] for row in rows)
    labels, label_idx = numbered(row[1] for row in rows)
    score, start_s, end_s = np.array([row[2:] for row in rows], np.float64).reshape(-1, 3).T
    return PredictionTable(video_ids, labels, video_idx, label_idx, score, start_s, end_s)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
