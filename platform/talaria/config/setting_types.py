"""The type of every setting, read off the schema: sections, stdlib dataclasses, dicts of nodes, unions."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

from pydantic import BaseModel


def fields_of(annotation: Any) -> dict[str, Any]:
    """Fields of a section by name, with their types; empty for what is no section."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {name: field.annotation for name, field in annotation.model_fields.items()}
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        hints = typing.get_type_hints(annotation)
        return {field.name: hints[field.name] for field in dataclasses.fields(annotation)}
    return {}


def alternatives(annotation: Any) -> list[Any]:
    """The types of a union, None left out; one type for what is no union."""
    if typing.get_origin(annotation) is typing.Annotated:
        return alternatives(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        return [kind for part in parts for kind in alternatives(part)]
    return [annotation]


def union_tag(annotation: Any) -> str:
    """The `name` by which a recipe picks this type among a union's; empty for plain types."""
    return str(getattr(annotation, "name", "")) if fields_of(annotation) else ""


def type_below(annotation: Any, part: str | int) -> Any:
    """The type one step below: of a field, of a mapping's value, of a list's item; None where none is."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict:
        return arguments[1]
    if typing.get_origin(annotation) is tuple:
        position = 0 if Ellipsis in arguments else min(int(part), len(arguments) - 1)
        return arguments[position]
    return fields_of(annotation).get(str(part))


def type_at(path: str, section: Any) -> Any:
    """The type of the setting at a dotted path of fields below `section`, or None where there is none."""
    current = section
    for part in path.split("."):
        found = [type_below(kind, part) for kind in alternatives(current)]
        current = next((kind for kind in found if kind is not None), None)
    return current
