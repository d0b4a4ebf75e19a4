"""--set flags: one dotted path and one YAML value each, laid over a recipe."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Sequence
from typing import Any

from talaria.config.schema import RunConfig
from talaria.config.yaml_text import YamlTextError, parse_yaml

Tree = dict[str, Any]
_NODE_GROUPS = [
    name for name, field in RunConfig.model_fields.items() if typing.get_origin(field.annotation) is dict
]


class _FlagError(ValueError):
    """A flag that cannot be taken; the message is one sentence."""


def merged(under: Tree, over: Tree) -> Tree:
    """Nested dicts joined, `over` winning; anything else is replaced whole."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def override_tree(overrides: Sequence[str], under: Tree) -> tuple[Tree, list[str]]:
    """What the flags set, and a sentence for each flag that cannot be taken.

    Args:
        overrides: `dotted.path=value`; of two for one path the later wins.
        under: the recipe's settings, whose keys may hold dots themselves.
    """
    tree: Tree = {}
    faults: list[str] = []
    for override in overrides:
        try:
            tree = merged(tree, _parsed(override, merged(under, tree)))
        except _FlagError as error:
            faults.append(f"{override}: {error}")
    return tree, faults


def _parsed(override: str, under: Tree) -> Tree:
    path, equals, text = override.partition("=")
    path = path.strip()
    if not equals or not all(path.split(".")):
        raise _FlagError("expected PATH=VALUE, such as detectors.bmn64.optim.lr=3e-4")
    keys = _keys(path, under)
    _check_node(keys, under)
    try:
        tree = parse_yaml(text)
    except YamlTextError as error:
        raise _FlagError(
            f"the value cannot be read ({error}); text with signs in it belongs in quotes"
        ) from None
    for key in reversed(keys):
        tree = {key: tree}
    return typing.cast("Tree", tree)


def _keys(path: str, tree: Any) -> list[str]:
    """The keys of a dotted path; a key of the recipe that itself holds dots (search.space) counts as one."""
    keys: list[str] = []
    while path:
        known = list(tree) if isinstance(tree, dict) else []
        whole = [key for key in known if path == key or path.startswith(f"{key}.")]
        key = max(whole, key=len) if whole else path.partition(".")[0]
        tree = tree.get(key) if isinstance(tree, dict) else None
        keys.append(key)
        path = path[len(key) + 1 :]
    return keys


def _check_node(keys: list[str], under: Tree) -> None:
    """Refuse a setting of a node that is not there: a new node is given whole."""
    if len(keys) < 3 or keys[0] not in _NODE_GROUPS:
        return
    nodes = under.get(keys[0])
    known = list(nodes) if isinstance(nodes, dict) else []
    if keys[1] not in known:
        near = difflib.get_close_matches(keys[1], known)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known) or 'none'}"
        raise _FlagError(f"the recipe has no {keys[0]}.{keys[1]}; {hint}")
