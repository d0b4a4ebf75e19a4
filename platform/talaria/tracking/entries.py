"""Parameters, metrics and tags in the form and within the limits of MLflow."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from talaria.config.fingerprint import flattened

MOST_NAMED = 100
"""Parameters or tags of one request."""
MOST_METRICS = 1000
"""Metric values of one request."""
_LONGEST_NAME = 250
_LONGEST_PARAM = 6000
_LONGEST_TAG = 8000
_CUT = " ... (cut)"

Row: TypeAlias = tuple[str, int, float]
"""Name, step and value of a metric."""

Item = TypeVar("Item")


def entry_name(name: str) -> str:
    """A name that MLflow takes: `map@0.50` becomes `map_0.50`."""
    return re.sub(r"[^\w\-. /:]", "_", name, flags=re.ASCII)[:_LONGEST_NAME]


def param_entries(params: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings by their dotted path, as text."""
    return {
        entry_name(path): _cut(str(value), _LONGEST_PARAM)
        for path, value in flattened(params).items()
        if path
    }


def tag_entries(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags as text."""
    return {entry_name(name): _cut(str(value), _LONGEST_TAG) for name, value in tags.items()}


def metric_rows(metrics: Mapping[str, Any], step: int) -> list[Row]:
    """The numbers among some values; infinities become the largest float, as MLflow's database keeps them."""
    numbers = {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    limit = sys.float_info.max
    return [(entry_name(name), step, max(-limit, min(limit, value))) for name, value in numbers.items()]


def rows_of_file(path: Path) -> list[Row]:
    """The metrics in a file of lines `{"step": 3, "loss": 0.5}`, but for a line that is being written."""
    rows: list[Row] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            values: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            break
        step = int(values.pop("step"))
        rows += metric_rows(values, step)
    return rows


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items, a request at a time."""
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - len(_CUT)] + _CUT
