"""YAML as people mean it: one mapping, no key twice, `3e-4` a number, `on` and `2024-01-01` plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

_PREFIX = "tag:yaml.org,2002:"
_PLAIN_TAGS = {_PREFIX + name for name in ("str", "int", "float", "bool", "null", "merge", "seq", "map")}
_KEY_TAGS = {_PREFIX + "str", _PREFIX + "merge"}


class _Loader(yaml.SafeLoader):
    """Scalars as in YAML 1.2; version 1.1, which PyYAML follows, reads `3e-4` as text and `no` as false."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def number(self, node: yaml.ScalarNode) -> int | float:
        """`1e5` is a whole number, `1.0e5` and `3e-4` are not."""
        text = self.construct_scalar(node).lower()
        value = float(text.replace(".inf", "inf").replace(".nan", "nan"))
        return int(value) if "." not in text and value.is_integer() else value


_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?[0-9]+[eE][-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
)
for _name, _pattern, _first in _SCALARS:
    _first_letters = [letter if letter != "\0" else "" for letter in _first]
    _Loader.add_implicit_resolver(_PREFIX + _name, re.compile(f"^(?:{_pattern})$"), _first_letters)
_Loader.add_constructor(_PREFIX + "float", _Loader.number)


class YamlTextError(ValueError):
    """Text that is not the YAML we take; `problems` holds a clause for each, with its line."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def parse_yaml(text: str) -> Any:
    """The value that `text` describes: dicts with text keys, lists, text, numbers, booleans, None.

    Raises:
        YamlTextError: broken syntax, or every key given twice, key that is no text, odd tag or endless alias.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        problems = list(_faults(node, (), set()))
        if problems:
            raise YamlTextError(problems)
        return None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        raise YamlTextError([_clause(error)]) from None
    except yaml.YAMLError as error:
        raise YamlTextError([f"is not YAML: {' '.join(str(error).split())}"]) from None


def _faults(node: Any, above: tuple[Any, ...], seen: set[int]) -> Iterator[str]:
    if any(node is parent for parent in above):
        yield f"{_line(node)}: an alias refers to the block that it stands in"
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if node.tag not in _PLAIN_TAGS:
        yield f"{_line(node)}: tag {node.tag.replace(_PREFIX, '!!')}; expected plain text, numbers or lists"
    if isinstance(node, yaml.MappingNode):
        yield from _key_faults(node)
    for child in _children(node):
        yield from _faults(child, (*above, node), seen)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [value for _, value in node.value]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _key_faults(node: yaml.MappingNode) -> Iterator[str]:
    lines: dict[str, str] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEY_TAGS:
            shown = key.value if isinstance(key, yaml.ScalarNode) else "list or mapping"
            yield f"{_line(key)}: key {shown!r} is not text; put it in quotes"
        elif key.value in lines:
            yield f"{_line(key)}: key {key.value!r} is given twice, first on {lines[key.value]}; keep one"
        else:
            lines[key.value] = _line(key)


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _clause(error: yaml.MarkedYAMLError) -> str:
    reason = ", ".join(part for part in (error.context, error.problem) if part)
    if r"'\t'" in reason:
        reason = "a tab; YAML is indented with spaces"
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}is not YAML: {reason}"
