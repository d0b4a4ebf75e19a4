"""From a recipe file and --set flags to a checked RunConfig, with every problem said at once."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from talaria.config.schema import RunConfig
from talaria.errors import ConfigError


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The run that a recipe describes.

    Later wins: schema defaults, the recipe's `base:` file, the recipe, then `overrides`. Lists are replaced whole.

    Args:
        path: YAML file; its optional `base` names another, relative to it.
        overrides: `dotted.path=value` with a YAML value, as given to --set.

    Raises:
        ConfigError: with all problems found, each naming the file, the path and what was expected.
    """
    recipe = Path(path)
    tree = _read(recipe)
    base = tree.pop("base", None)
    if base is not None:
        tree = merged(_read(recipe.parent / str(base)), tree)
    for override in overrides:
        tree = merged(tree, _parsed(override))
    config = validated(tree, source=recipe.name)
    if config.search is not None:
        from talaria.config.space import check_space

        check_space(config, source=recipe.name)
    return config


def validated(tree: dict[str, Any], source: str) -> RunConfig:
    """`tree` checked against the schema; `source` names it in the errors."""
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_problems(error, source)) from None


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts joined, `over` winning; anything else is replaced whole."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        joins = isinstance(below, dict) and isinstance(value, dict)
        result[key] = merged(typing.cast("dict[str, Any]", below), value) if joins else value
    return result


def save_resolved(config: RunConfig, path: Path) -> None:
    """The whole config as JSON, which `load_resolved` reads back equal."""
    path.write_text(json.dumps(config.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")


def load_resolved(path: Path) -> RunConfig:
    """The config that a run was made with."""
    return validated(json.loads(path.read_text(encoding="utf-8")), source=str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a recipe in YAML") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: is not YAML: {reason}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: holds {type(tree).__name__}; expected the sections run, data, backbones, ...")
    return tree


def _parsed(override: str) -> dict[str, Any]:
    path, equals, text = override.partition("=")
    if not equals or not path or not all(path.split(".")):
        raise ConfigError(f"--set {override}: expected dotted.path=value, such as detectors.bmn.optim.lr=3e-4")
    try:
        value = yaml.safe_load(text) if text else ""
    except yaml.YAMLError:
        value = text
    if isinstance(value, str):
        try:
            value = float(value)  # YAML 1.1 reads 3e-4 as text
        except ValueError:
            pass
    tree: Any = value
    for part in reversed(path.split(".")):
        tree = {part: tree}
    return typing.cast("dict[str, Any]", tree)


def _problems(error: ValidationError, source: str) -> list[str]:
    lines: list[str] = []
    for item in error.errors(include_url=False):
        where, known = _located(item["loc"])
        prefix = f"{source}: {where}: " if where else f"{source}: "
        if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            name = str(item["loc"][-1])
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(sorted(known))}"
            lines.append(f"{prefix}unknown field; {hint}")
        elif item["type"] == "value_error":
            stem = f"{source}: {where}." if where else f"{source}: "
            lines += [stem + line for line in str(item["ctx"]["error"]).splitlines()]
        elif item["type"] in ("missing", "missing_argument"):
            lines.append(f"{prefix}missing; it must be set")
        else:
            lines.append(f"{prefix}found {item['input']!r}; {_sentence(item['msg'])}")
    return lines


def _sentence(message: str) -> str:
    return "expected " + message.removeprefix("Input should be ") if "Input should be" in message else message


def _located(loc: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """The path a user knows (without union tags) and the names that exist at its last level."""
    current: Any = RunConfig
    path: list[str] = []
    known: list[str] = []
    for part in loc:
        members = _members(current)
        tagged = {_tag(member): member for member in members} if len(members) > 1 else {}
        if part in tagged:
            current = tagged[str(part)]
            continue
        current = members[0] if members else None
        fields = _fields(current)
        known = list(fields)
        path.append(str(part))
        current = fields.get(str(part), _value_type(current))
    return ".".join(path), known


def _members(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [m for arg in typing.get_args(annotation) if arg is not type(None) for m in _members(arg)]
    return [annotation]


def _tag(annotation: Any) -> str:
    return str(_fields(annotation).get("name") and getattr(annotation, "name", ""))


def _fields(annotation: Any) -> dict[str, Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {name: field.annotation for name, field in annotation.model_fields.items()}
    if isinstance(annotation, type) and hasattr(annotation, "__dataclass_fields__"):
        hints = typing.get_type_hints(annotation)
        return {name: hints[name] for name in annotation.__dataclass_fields__}
    return {}


def _value_type(annotation: Any) -> Any:
    """The type of a mapping's values; None for anything else."""
    return typing.get_args(annotation)[1] if typing.get_origin(annotation) is dict else None


