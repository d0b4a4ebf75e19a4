"""What every layout is turned into: the ActivityNet tree, and what was odd on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talaria.data.oddities import Oddity
from talaria.errors import DataError

UNSPECIFIED = "unspecified"
"""Subset of videos whose file has no subsets."""

_SHOWN_PROBLEMS = 20


@dataclass
class Layout:
    """A file as an ActivityNet tree, not yet checked.

    Attributes:
        database: `{video_id: {duration, subset, annotations: [{segment, label}], labels, ambiguous}}`.
        oddities: what the tree cannot show.
        list_name: what the file itself calls `annotations`, for messages.
    """

    database: dict[str, Any]
    oddities: list[Oddity] = field(default_factory=list)
    list_name: str = "annotations"


def raise_problems(path: Path, problems: list[str]) -> None:
    """Raise what is wrong with a file, the first 20 in words and the rest as a count; nothing if nothing is.

    Raises:
        DataError: with `problems`, each behind the file's name.
    """
    if not problems:
        return
    shown = [f"{path}: {problem}" for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        shown.append(f"{path}: and {len(problems) - _SHOWN_PROBLEMS} more problems of these kinds")
    raise DataError(shown)
