"""Search spaces: dotted paths below a detector's node, checked when the recipe loads."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from talaria.config.fingerprint import flattened
from talaria.config.nodes import DetectorNode
from talaria.config.problems import Problem, problems_of, shown
from talaria.config.schema import Distribution, RunConfig
from talaria.config.setting_types import alternatives, type_at
from talaria.errors import ConfigError

_FIXED = ("features", "model.name")
_MOST_TRIED = 1000
"""Whole numbers of a range that are all tried; of a longer one its ends."""


def space_problems(config: RunConfig) -> list[Problem]:
    """Paths of the search space that its detectors have no setting for, and values that a setting refuses."""
    if config.search is None:
        return []
    search = config.search
    found = (
        Problem(("search", "space", path), text)
        for path, distribution in search.space.items()
        for name in dict.fromkeys((search.detector, *search.apply_to))
        for text in _path_problems(config.detectors[name], name, path, distribution)
    )
    return list(dict.fromkeys(found))


def with_values(node: DetectorNode, values: Mapping[str, Any]) -> DetectorNode:
    """`node` with the settings at the given dotted paths replaced.

    Raises:
        ConfigError: a path that is no setting, or a value that its setting refuses.
    """
    tree = node.model_dump(mode="json")
    for path, value in values.items():
        *parents, leaf = path.split(".")
        below = tree
        for parent in parents:
            below = below.setdefault(parent, {})
        below[leaf] = value
    try:
        return DetectorNode.model_validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise ConfigError([str(problem) for problem in problems_of(error, DetectorNode)]) from None


def _path_problems(node: DetectorNode, name: str, path: str, distribution: Distribution) -> Iterator[str]:
    paths = [known for known in flattened(node) if known not in _FIXED]
    if path not in paths:
        near = difflib.get_close_matches(path, paths, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(paths)}"
        yield f"no setting of detectors.{name}; {hint}"
        return
    kinds = alternatives(type_at(path, DetectorNode))
    if "uniform" in distribution.type and int in kinds and float not in kinds:
        yield f"{distribution.type} draws fractions, but the setting takes whole numbers; expected type: int"
        return
    refused = {value: reason for value in _drawn(distribution) if (reason := _refusal(node, path, value))}
    ends = (distribution.low, distribution.high, *distribution.choices)
    for value in [value for value in refused if value in ends] or list(refused)[:1]:
        yield f"{shown(value)} may be drawn, but {refused[value]}"


def _refusal(node: DetectorNode, path: str, value: Any) -> str | None:
    """Why the setting does not take the value, or None."""
    try:
        with_values(node, {path: value})
    except ConfigError as error:
        return "; ".join(error.problems)
    return None


def _drawn(distribution: Distribution) -> Iterator[Any]:
    """Values that stand for all that may be drawn."""
    if distribution.low is None or distribution.high is None:
        yield from distribution.choices
    elif distribution.type != "int":
        yield from (distribution.low, distribution.high)
    elif distribution.high - distribution.low < _MOST_TRIED:
        yield from range(int(distribution.low), int(distribution.high) + 1)
    else:
        yield from (int(distribution.low), int(distribution.high))
