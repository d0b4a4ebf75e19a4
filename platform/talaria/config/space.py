"""Search spaces: paths of the recipe, checked when it loads, and recipes with drawn values put in."""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError

from talaria.config.conditions import completed, condition_problems, possible
from talaria.config.fingerprint import flattened
from talaria.config.nodes import ClassifierNode, DetectorNode, RefinerNode, Section
from talaria.config.postprocess import PostprocessConfig
from talaria.config.problems import Problem, problems_of, shown
from talaria.config.schema import RunConfig
from talaria.config.search import Distribution, SearchSection
from talaria.config.setting_types import alternatives, type_at
from talaria.errors import ConfigError

TargetNode: TypeAlias = DetectorNode | RefinerNode | ClassifierNode
Node = TypeVar("Node", bound=Section)

_FIXED = ("features", "model.name", "proposals", "stages", "optim.epochs")
"""Settings of a node that no search draws. How long trials train is said by search.epochs."""
_SUPPRESSION = ("low", "high", "alpha", "proposals_per_video", "detections_per_video")
_POSTPROCESS = {
    "detectors": ("map_classification_power", "map_regression_power", "boundary_power", *_SUPPRESSION),
    "refiners": ("proposal_power", "refined_power", *_SUPPRESSION),
    "classifiers": (),
}
"""What of `postprocess` changes the score of a target; the rest is about classes."""
_MOST_TRIED = 1000
"""Whole numbers of a range that are all tried; of a longer one its ends."""


class _Postprocess(Section):
    """Names the section in messages."""

    postprocess: PostprocessConfig


def target_node(config: RunConfig, search: SearchSection) -> TargetNode:
    """The node whose settings are searched."""
    nodes: Mapping[str, TargetNode] = getattr(config, search.group)
    return nodes[search.node_name]


def with_values(node: Node, values: Mapping[str, Any]) -> Node:
    """`node` with the settings at the given dotted paths below it replaced.

    Raises:
        ConfigError: a path that is no setting, or a value that its setting refuses.
    """
    tree = node.model_dump(mode="json")
    for path, value in values.items():
        _put(tree, path.split("."), value)
    try:
        return type(node).model_validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise ConfigError([str(problem) for problem in problems_of(error, type(node))]) from None


def with_postprocess(config: PostprocessConfig, values: Mapping[str, Any]) -> PostprocessConfig:
    """`config` with those of the values whose path is `postprocess.<field>`.

    Raises:
        ConfigError: a field that is not there, or a value that it refuses.
    """
    chosen = {path: value for path, value in values.items() if path.startswith("postprocess.")}
    return with_values(_Postprocess(postprocess=config), chosen).postprocess


def node_values(search: SearchSection, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that are below the target, by their path there."""
    return {
        search.below_target(path): value
        for path, value in values.items()
        if path.startswith(f"{search.target}.")
    }


def with_found(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """The recipe with a trial's values in `apply_to`, or the target, and in `postprocess`.

    Raises:
        ConfigError: a value that the recipe refuses.
    """
    search = config.search
    assert search is not None
    tree = config.model_dump(mode="json")
    for name in search.apply_to or (search.node_name,):
        for path, value in node_values(search, values).items():
            _put(tree[search.group][name], path.split("."), value)
    for path, value in values.items():
        if path.startswith("postprocess."):
            _put(tree, path.split("."), value)
    try:
        return RunConfig.model_validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise ConfigError([str(problem) for problem in problems_of(error, RunConfig)]) from None


def space_problems(config: RunConfig) -> list[Problem]:
    """Paths that cannot be searched, conditions that cannot hold, and values that a setting refuses."""
    search = config.search
    if search is None:
        return []
    found = [
        Problem(("search", "space", path), text)
        for path, distribution in search.space.items()
        for text in _path_problems(config, search, path, distribution)
    ]
    if not any(path.startswith(f"{search.target}.") for path in search.space) and not found:
        found.append(
            Problem(
                ("search", "space"),
                f"found no path below {search.target}; post-processing alone is searched by ensemble.trials",
            )
        )
    found += [Problem(("search", "space", *path), text) for path, text in condition_problems(search.space)]
    if not found:
        found = [
            Problem(("search", "space", path), text)
            for path in search.space
            for name in dict.fromkeys((search.node_name, *search.apply_to))
            for text in _value_problems(config, search, name, path)
        ]
    return list(dict.fromkeys(found))


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, leaf = path
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[leaf] = value


def _settings(config: RunConfig, search: SearchSection, name: str) -> list[str]:
    """Paths of the target `name` that may be searched, as they stand in the recipe."""
    node = getattr(config, search.group)[name]
    below = [f"{search.target}.{path}" for path in flattened(node) if path not in _FIXED]
    return [*below, *(f"postprocess.{field}" for field in _POSTPROCESS[search.group])]


def _path_problems(
    config: RunConfig, search: SearchSection, path: str, distribution: Distribution
) -> Iterator[str]:
    """Why a path is none, for the target and all nodes that take its values."""
    for name in dict.fromkeys((search.node_name, *search.apply_to)):
        known = _settings(config, search, name)
        if path not in known:
            near = difflib.get_close_matches(path, known, n=1) or difflib.get_close_matches(
                f"{search.target}.{path}", known, n=1
            )
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
            yield f"no setting that a search of {search.group}.{name} draws; {hint}"
            return
    kinds = alternatives(_type_of(config, search, path))
    if "uniform" in distribution.type and int in kinds and float not in kinds:
        yield f"{distribution.type} draws fractions, but the setting takes whole numbers; expected type: int"


def _type_of(config: RunConfig, search: SearchSection, path: str) -> Any:
    if path.startswith("postprocess."):
        return type_at(path, _Postprocess)
    return type_at(search.below_target(path), type(target_node(config, search)))


def _value_problems(config: RunConfig, search: SearchSection, name: str, path: str) -> Iterator[str]:
    """Values that may be drawn and are refused, with what is drawn beside them."""
    distribution = search.space[path]
    refused: dict[Any, str] = {}
    for beside, value in itertools.product(possible(search.space, path), _drawn(distribution)):
        drawn = {**beside, path: value}
        reason = _refusal(config, search, name, drawn)
        if reason and _refusal(config, search, name, completed(search.space, drawn)):
            refused.setdefault(value, _with(search, beside) + reason)
    ends = (distribution.low, distribution.high, *distribution.choices)
    for value in [value for value in refused if value in ends] or list(refused)[:1]:
        yield f"{shown(value)} may be drawn{refused[value]}"


def _with(search: SearchSection, beside: Mapping[str, Any]) -> str:
    pairs = [f"{search.below_target(path)} {shown(value)}" for path, value in beside.items()]
    return f" with {' and '.join(pairs)}, but " if pairs else ", but "


def _refusal(config: RunConfig, search: SearchSection, name: str, drawn: Mapping[str, Any]) -> str:
    """Why a node does not take the values; empty where it does."""
    try:
        with_values(getattr(config, search.group)[name], node_values(search, drawn))
        with_postprocess(config.postprocess, drawn)
    except ConfigError as error:
        return "; ".join(error.problems)
    return ""


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
