"""What is wrong with predictions, in the same words for every format.

Letters: N predictions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from talaria.errors import DataError
from talaria.evaluation.arrays import BoolArray
from talaria.evaluation.files.columns import LabelTable, PredictionTable

_MOST_PROBLEMS = 20


class Problems:
    """Everything wrong with one file, the first twenty in words."""

    def __init__(self, path: Path) -> None:
        self.path, self.found, self.number = path, list[str](), 0

    def add(self, where: str, what: str) -> None:
        """Note one problem: which video and field, what was found and expected."""
        self.number += 1
        if self.number <= _MOST_PROBLEMS:
            self.found.append(f"{self.path}: {where}: {what}")

    def raise_if_any(self) -> None:
        """Raise them all at once.

        Raises:
            DataError: if there are any.
        """
        if self.number > _MOST_PROBLEMS:
            self.found.append(f"{self.path}: {self.number - _MOST_PROBLEMS} more problems")
        if self.found:
            raise DataError(self.found)


def wrong_rows(table: LabelTable, known: Collection[str] | None, allow_negative: bool) -> BoolArray:
    """(N,) which predictions have a label outside `known` (None knows all) or numbers that say nothing."""
    wrong = ~np.isfinite(table.score)
    if known is not None:
        strange = np.array([label not in known for label in table.labels], np.bool_)
        wrong |= strange[table.label_idx] if strange.size else False
    if isinstance(table, PredictionTable):
        wrong |= ~(np.isfinite(table.start_s) & np.isfinite(table.end_s))
        wrong |= ~(table.end_s >= table.start_s)
        if not allow_negative:
            wrong |= table.start_s < 0
    return wrong


def check_rows(
    problems: Problems, table: LabelTable, known: Collection[str] | None, allow_negative: bool, unit: str
) -> None:
    """Add what is wrong with each row of a table.

    Args:
        problems: takes what is found.
        table: its rows are counted from 0 in the messages.
        known: labels of the dataset; None accepts any.
        allow_negative: whether a segment may start before 0 s.
        unit: what a row is called, such as `row` or `entry`.
    """
    for row in np.flatnonzero(wrong_rows(table, known, allow_negative)).tolist():
        label = table.labels[table.label_idx[row]]
        faults = [] if known is None or label in known else [strange_label(label)]
        score = float(table.score[row])
        if isinstance(table, PredictionTable):
            faults.extend(span_faults(float(table.start_s[row]), float(table.end_s[row]), allow_negative))
        faults.extend(score_faults(score))
        problems.add(f"video {table.video_ids[table.video_idx[row]]!r}, {unit} {row}", "; ".join(faults))


def strange_label(label: str) -> str:
    """A label that the dataset lacks."""
    return f"label {label!r} is not a class of the dataset"


def score_faults(score: float) -> Iterator[str]:
    """What is wrong with a score."""
    if not math.isfinite(score):
        yield f"score is {score}, expected a finite number"


def span_faults(start_s: float, end_s: float, allow_negative: bool) -> Iterator[str]:
    """What is wrong with the times of a segment."""
    if not (math.isfinite(start_s) and math.isfinite(end_s)):
        yield f"segment is [{start_s}, {end_s}], expected finite seconds"
    elif end_s < start_s:
        yield f"segment is [{start_s}, {end_s}], expected an end at or after the start"
    elif start_s < 0 and not allow_negative:
        yield f"segment is [{start_s}, {end_s}], expected a start at or after 0 s"


def shown(value: Any) -> str:
    """A found value, short enough for a message."""
    text = "missing" if value is None else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
