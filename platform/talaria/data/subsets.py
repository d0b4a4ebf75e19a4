"""Names of subsets: every dataset spells them in its own way."""

from __future__ import annotations

SUBSETS = ("training", "validation", "testing")

_SPELLINGS = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "validation": "validation",
    "test": "testing",
    "testing": "testing",
}


def canonical_subset(name: str) -> str:
    """`training`, `validation` or `testing` for their usual spellings in any case; other names stay."""
    return _SPELLINGS.get(name.strip().lower(), name)
