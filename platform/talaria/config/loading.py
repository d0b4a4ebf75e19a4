"""From a recipe file and --set flags to a checked RunConfig, with every problem said at once."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from talaria.config.overrides import Tree, merged, override_tree
from talaria.config.problems import Problem, problems_of, shown
from talaria.config.schema import RunConfig
from talaria.config.space import space_problems
from talaria.config.yaml_text import YamlTextError, parse_yaml
from talaria.errors import ConfigError

_SECTIONS = ", ".join(RunConfig.model_fields)
_FLAG = "--set"


@dataclass(frozen=True)
class _Layer:
    """Settings from one place; `source` names it in messages."""

    source: str
    tree: Tree


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The run that a recipe describes.

    Later wins: schema defaults, the recipe's `base:` file, the recipe, then `overrides`. Lists are replaced
    whole, sections are joined; a `search` with a target of its own replaces that of the base.

    Args:
        path: YAML file; its optional `base` names another, relative to it, which has none of its own.
        overrides: `dotted.path=value` with a YAML value, as given to --set.

    Raises:
        ConfigError: with all problems found, each naming the file, the path and what was expected.
    """
    layers = _recipe_layers(Path(path))
    flags, faults = override_tree(overrides, _joined(layers))
    faults = [f"{_FLAG} {fault}" for fault in faults]
    try:
        config = _checked([*layers, _Layer(_FLAG, flags)], layers[-1].source)
    except ConfigError as error:
        raise ConfigError([*faults, *error.problems]) from None
    if faults:
        raise ConfigError(faults)
    return config


def validated(tree: Tree, source: str) -> RunConfig:
    """`tree` checked against the schema; `source` names it in the errors.

    Raises:
        ConfigError: with all problems found.
    """
    return _checked([_Layer(source, tree)], source)


def save_resolved(config: RunConfig, path: Path) -> None:
    """The whole config as JSON, which `load_resolved` reads back equal; written aside, then put in place."""
    aside = path.with_name(f".{path.name}.tmp")
    aside.write_text(json.dumps(config.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    os.replace(aside, path)


def save_recipe(config: RunConfig, path: Path, about: str) -> None:
    """The whole config as YAML under a line that says what it is; `load_recipe` reads it back equal."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    with_heading = f"# {about}\n{text}"
    if path.is_file() and path.read_text(encoding="utf-8") == with_heading:
        return
    aside = path.with_name(f".{path.name}.tmp")
    aside.write_text(with_heading, encoding="utf-8")
    os.replace(aside, path)


def load_resolved(path: Path) -> RunConfig:
    """The config that a run was made with.

    Raises:
        ConfigError: the file is missing, damaged, or of a version with other settings.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); expected a run's recipe.json"
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path}: is not JSON ({error}); expected a run's recipe.json") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: holds {shown(tree)}; expected a run's recipe.json")
    return validated(tree, source=str(path))


def _checked(layers: Sequence[_Layer], recipe: str) -> RunConfig:
    """The joined layers against the schema; strict, so that `yes` or `"3"` never passes for another type."""
    try:
        config = RunConfig.model_validate_json(json.dumps(_joined(layers)), strict=True)
    except ValidationError as error:
        problems = problems_of(error, RunConfig)
    else:
        problems = space_problems(config)
        if not problems:
            return config
    raise ConfigError([f"{_source(problem, layers, recipe)}: {problem}" for problem in problems])


def _joined(layers: Sequence[_Layer]) -> Tree:
    tree: Tree = {}
    for layer in layers:
        tree = merged(tree, layer.tree)
    return tree


def _source(problem: Problem, layers: Sequence[_Layer], recipe: str) -> str:
    """The last layer that sets the path at fault; the recipe for what no layer sets."""
    for layer in reversed(layers):
        if _holds(layer.tree, problem.path):
            return layer.source
    return recipe


def _holds(tree: Any, path: tuple[str | int, ...]) -> bool:
    for part in path:
        inside = (
            part in tree if isinstance(tree, dict) else isinstance(tree, list) and part in range(len(tree))
        )
        if not inside:
            return False
        tree = tree[part]
    return True


def _recipe_layers(path: Path) -> list[_Layer]:
    """The recipe, its base file before it where it names one."""
    tree = _read(path, "expected a recipe in YAML, such as jobs/recipes/demo.yaml")
    if "base" not in tree:
        return [_Layer(path.name, tree)]
    base = tree.pop("base")
    if not isinstance(base, str):
        raise ConfigError(
            f"{path.name}: base: found {shown(base)}; expected the name of a recipe beside this one"
        )
    below = _read(path.parent / base, f"{path.name} names it as its base")
    if "base" in below:
        raise ConfigError(f"{path.name}: base: {base} has a base itself; expected a file without one")
    if isinstance(search := tree.get("search"), dict) and "target" in search:
        below.pop("search", None)
    return [_Layer(base, below), _Layer(path.name, tree)]


def _read(path: Path, expected: str) -> Tree:
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {expected}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text; {expected}") from None
    except YamlTextError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from None
    if not isinstance(tree, dict):
        found = "is empty" if tree is None else f"holds {shown(tree)}"
        raise ConfigError(f"{path}: {found}; expected the sections {_SECTIONS}")
    return tree
