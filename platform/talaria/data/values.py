"""Single values of annotation files: which are numbers, which are names, and how a message shows them."""

from __future__ import annotations

import math
from typing import Any


def is_class_name(label: Any) -> bool:
    """Whether a label says something and can be written to a file (JSON may hold halves of characters)."""
    return isinstance(label, str) and bool(label.strip()) and label.encode(errors="replace").decode() == label


def finite_number(value: Any) -> float | None:
    """A finite number, given as one or as text, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def shown(value: Any) -> str:
    """A found value, short enough for a sentence."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
