"""What pydantic found wrong, in the words and paths of the person who wrote the recipe."""

from __future__ import annotations

import difflib
import json
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from talaria.config.setting_types import alternatives, fields_of, type_below, union_tag

_FIELD_LINE = re.compile(r"([\w.-]+): (.+)")
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument")
_LIMITS = {
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "finite_number": "a finite number",
    "too_short": "at least {min_length}",
    "too_long": "a list of {max_length}",
    "string_pattern_mismatch": "up to 64 letters, digits and _ . - with a letter or digit in front",
}
_MOST_FIELDS = 5
_WORDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a setting.

    Attributes:
        path: keys and list positions from the root, free of union tags.
        text: what was found and what was expected.
        cure: the path of the setting that was probably meant, where a key is unknown.
    """

    path: tuple[str | int, ...]
    text: str
    cure: tuple[str | int, ...] | None = None

    def __str__(self) -> str:
        where = ".".join(str(part) for part in self.path)
        return f"{where}: {self.text}" if where else self.text


def problems_of(error: ValidationError, root: type[BaseModel]) -> list[Problem]:
    """Every problem once, in the order of the schema; `root` is the model that was validated."""
    found: dict[tuple[tuple[str | int, ...], str], Problem] = {}
    for item in error.errors(include_url=False):
        for problem in _explained(item, root):
            found.setdefault((problem.path, problem.text), problem)
    cures = {problem.cure for problem in found.values()}
    return [p for p in found.values() if not (p.path in cures and p.text.startswith("missing"))]


@dataclass(frozen=True)
class _Place:
    """Where a location of pydantic's lies: the path that a person knows, the types there and around it."""

    path: tuple[str | int, ...]
    annotation: Any
    parent: Any
    is_key: bool


def _explained(item: Mapping[str, Any], root: type[BaseModel]) -> list[Problem]:
    place, kind, found = _located(item["loc"], root), item["type"], shown(item["input"])
    if kind == "value_error":
        return [_from_line(place.path, line) for line in str(item["ctx"]["error"]).splitlines()]
    if kind in _UNKNOWN:
        return [_unknown(place)]
    if kind in _MISSING and isinstance(place.path[-1], int):
        return [Problem(place.path[:-1], f"found {found}; expected {expectation(place.parent)}")]
    if kind in _MISSING:
        return [Problem(place.path, f"missing; expected {expectation(place.annotation)}")]
    if kind.startswith("union_tag"):
        return [_untagged(place, item)]
    if kind in _LIMITS:
        wanted = _LIMITS[kind].format(**item.get("ctx", {}))
    elif kind == "literal_error":
        wanted = item["ctx"]["expected"]
    elif kind == "string_type" and isinstance(item["input"], int | float):
        wanted = "text; put it in quotes"
    else:
        wanted = expectation(place.annotation)
    found = f"the name {found}" if place.is_key else found
    return [Problem(place.path[:-1] if place.is_key else place.path, f"found {found}; expected {wanted}")]


def _from_line(path: tuple[str | int, ...], line: str) -> Problem:
    """A line of a ValueError that one of our own checks raised, `field: sentence`."""
    match = _FIELD_LINE.fullmatch(line)
    if match is None:
        return Problem(path, line)
    return Problem((*path, *match[1].split(".")), match[2])


def _unknown(place: _Place) -> Problem:
    name = str(place.path[-1])
    cure = nearest(name, place.parent)
    if cure is not None:
        return Problem(
            place.path, f"unknown field; did you mean {cure}?", (*place.path[:-1], *cure.split("."))
        )
    return Problem(place.path, f"unknown field; expected one of {', '.join(sorted(fields_of(place.parent)))}")


def _untagged(place: _Place, item: Mapping[str, Any]) -> Problem:
    names = ", ".join(union_tag(kind) for kind in alternatives(place.annotation))
    path = (*place.path, "name")
    if item["type"] == "union_tag_not_found":
        return Problem(path, f"missing; expected one of {names}")
    return Problem(path, f"found {shown(item['ctx']['tag'])}; expected one of {names}")


def shown(value: Any) -> str:
    """A value as a person would write it, cut to one line."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a section" if value else "an empty section"
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(name: str, section: Any) -> str | None:
    """The field of `section` that `name` was probably meant to be: a near spelling, or one level below."""
    fields = fields_of(section)
    near: list[str] = difflib.get_close_matches(name, fields, n=1)
    if near:
        return near[0]
    below = [f for f, inner in fields.items() if any(name in fields_of(kind) for kind in alternatives(inner))]
    return f"{below[0]}.{name}" if below else None


def expectation(annotation: Any) -> str:
    """What a setting of this type takes, in words."""
    kinds = alternatives(annotation)
    if len(kinds) > 1:
        wider = [kind for kind in kinds if not (kind is int and float in kinds)]
        return " or ".join(dict.fromkeys(expectation(kind) for kind in wider))
    kind = kinds[0]
    if kind in _WORDS:
        return _WORDS[kind]
    if typing.get_origin(kind) is Literal:
        return " or ".join(repr(value) for value in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        items = typing.get_args(kind)
        return "a list" if Ellipsis in items else f"a list of {len(items)}"
    fields = list(fields_of(kind))
    if len(fields) > _MOST_FIELDS:
        fields = [*fields[:_MOST_FIELDS], "..."]
    return f"a section with {', '.join(fields)}" if fields else "a section"


def _located(loc: tuple[str | int, ...], root: type[BaseModel]) -> _Place:
    current: Any = root
    parent: Any = None
    path: list[str | int] = []
    for part in loc:
        kinds = alternatives(current)
        if part == "[key]":
            return _Place(tuple(path), str, parent, is_key=True)
        if len(kinds) > 1:  # pydantic names the member of the union here
            current = {union_tag(kind): kind for kind in kinds}.get(str(part), current)
            continue
        parent, current = kinds[0], type_below(kinds[0], part)
        path.append(part)
    return _Place(tuple(path), current, parent, is_key=False)
