"""Short digests of settings, and the names of the settings in which two differ."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

UNLESS_NONE: dict[str, Any] = {"plain": "unless None"}
"""Metadata of a dataclass field, or `json_schema_extra` of a model's, that takes no part in digests and plain
forms while it is None: settings that do not use it are the same with and without it."""


def plain(value: Any) -> Any:
    """`value` as JSON types: models and dataclasses become dicts, tuples become lists."""
    if isinstance(value, BaseModel):
        return {
            name: plain(item)
            for name, field in type(value).model_fields.items()
            if (item := getattr(value, name)) is not None or field.json_schema_extra != UNLESS_NONE
        }
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {field: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {
            field.name: plain(item)
            for field, item in found.items()
            if item is not None or field.metadata != UNLESS_NONE
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    return value


def fingerprint(value: Any) -> str:
    """16 hex digits that stand for the content of `value`."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def flattened(value: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves of nested settings by their dotted path; lists and empty sections count as leaves."""
    value = plain(value)
    if not isinstance(value, dict) or (prefix and not value):
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves.update(flattened(item, f"{prefix}.{key}" if prefix else key))
    return leaves


def differences(made: Any, asked: Any) -> list[str]:
    """One clause for every setting in which `asked` differs from `made`."""
    old, new = flattened(made), flattened(asked)
    return [
        f"{path} was {_shown(old, path)}, is now {_shown(new, path)}"
        for path in sorted(old.keys() | new.keys())
        if path not in old or path not in new or old[path] != new[path]
    ]


def _shown(leaves: Mapping[str, Any], path: str) -> str:
    return repr(leaves[path]) if path in leaves else "absent"
