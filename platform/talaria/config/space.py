"""Search spaces: dotted paths below a detector's node, checked when the recipe loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from talaria.config.fingerprint import flattened
from talaria.config.schema import DetectorNode, Distribution, RunConfig
from talaria.errors import ConfigError


def check_space(config: RunConfig, source: str) -> None:
    """Every path of the search space exists and takes the values that may be drawn.

    Raises:
        ConfigError: naming each path that does not exist or each value that its setting refuses.
    """
    search = config.search
    if search is None:
        return
    node = config.detectors[search.detector]
    paths = flattened(node)
    problems: list[str] = []
    for path, distribution in search.space.items():
        where = f"{source}: search.space.{path}"
        if path not in paths:
            problems.append(f"{where}: no such setting of detectors.{search.detector}; expected one of "
                            + ", ".join(p for p in paths if not p.endswith("name")))
            continue
        for value in _corners(distribution):
            try:
                with_values(node, {path: value})
            except ConfigError as error:
                problems.append(f"{where}: {value!r} is refused: {error.problems[0]}")
    if problems:
        raise ConfigError(problems)


def with_values(node: DetectorNode, values: Mapping[str, Any]) -> DetectorNode:
    """`node` with the settings at the given dotted paths replaced.

    Raises:
        ConfigError: a value that its setting refuses.
    """
    tree = node.model_dump(mode="json")
    for path, value in values.items():
        *parents, leaf = path.split(".")
        below = tree
        for parent in parents:
            below = below[parent]
        below[leaf] = value
    try:
        return DetectorNode.model_validate(tree)
    except ValidationError as error:
        raise ConfigError([str(item["msg"]) for item in error.errors(include_url=False)]) from None


def _corners(distribution: Distribution) -> tuple[Any, ...]:
    if distribution.type == "choice":
        return distribution.choices
    if distribution.low is None or distribution.high is None:
        return ()
    if distribution.type == "int":
        return int(distribution.low), int(distribution.high)
    return distribution.low, distribution.high
