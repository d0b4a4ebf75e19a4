"""What `when` of a search space says: which settings are drawn beside which, and what can never be."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from talaria.config.problems import shown
from talaria.config.search import Distribution

Space: TypeAlias = Mapping[str, Distribution]


def condition_problems(space: Space) -> list[tuple[tuple[str, ...], str]]:
    """Conditions that no trial can meet, each with its place below `search.space`."""
    problems: list[tuple[tuple[str, ...], str]] = [
        ((path, "when", other), text)
        for path, distribution in space.items()
        for other, wanted in distribution.conditions.items()
        for text in _wanted_problems(space, other, wanted)
    ]
    if problems:
        return problems
    for path in space:
        circle = _circle(space, path, ())
        if circle:
            return [
                ((circle[0], "when"), f"goes round in a circle: {' -> '.join(circle)}; leave one of them out")
            ]
    return [
        ((path, "when"), "can never hold, as its conditions exclude each other")
        for path in space
        if next(possible(space, path), None) is None
    ]


def possible(space: Space, path: str) -> Iterator[dict[str, Any]]:
    """Everything that may be drawn of the settings which decide that `path` is drawn, directly or not."""
    deciding = list(dict.fromkeys(_deciding(space, path)))
    wanted = [
        [
            value
            for value in space[other].choices or _whole_numbers(space, other)
            if all(value in one.conditions.get(other, (value,)) for one in _askers(space, path, deciding))
        ]
        for other in deciding
    ]
    for values in itertools.product(*wanted):
        drawn = dict(zip(deciding, values, strict=True))
        if all(space[one].applies(drawn) for one in (path, *deciding)):
            yield drawn


def completed(space: Space, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """`drawn` with the first value of every setting that is drawn just because of these."""
    found = dict(drawn)
    for path, distribution in sorted(space.items(), key=lambda item: len(_deciding(space, item[0]))):
        if distribution.when and path not in found and distribution.applies(found):
            found[path] = _first(distribution)
    return found


def _first(distribution: Distribution) -> Any:
    if distribution.low is None:
        return distribution.choices[0]
    return int(distribution.low) if distribution.type == "int" else distribution.low


def _wanted_problems(space: Space, other: str, wanted: tuple[Any, ...]) -> Iterator[str]:
    if other not in space:
        near = difflib.get_close_matches(other, space, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(space)}"
        yield f"is not drawn by this search; {hint}"
    elif "uniform" in space[other].type:
        yield "is drawn from a range, which hits no single value; expected a setting of type choice or int"
    else:
        for value in wanted:
            if not space[other].holds(value):
                drawn = space[other]
                known = ", ".join(map(shown, drawn.choices)) or f"{drawn.low:g} to {drawn.high:g}"
                yield f"found {shown(value)}, which is never drawn; expected of {known}"


def _circle(space: Space, path: str, above: tuple[str, ...]) -> tuple[str, ...]:
    """The way from a setting back to itself along its conditions; empty where there is none."""
    if path in above:
        return (*above[above.index(path) :], path)
    ways = (_circle(space, other, (*above, path)) for other in space[path].when)
    return next((way for way in ways if way), ())


def _deciding(space: Space, path: str) -> list[str]:
    """The settings that `when` of a path names, and those which theirs name."""
    return [name for other in space[path].when for name in (*_deciding(space, other), other)]


def _askers(space: Space, path: str, deciding: list[str]) -> list[Distribution]:
    return [space[one] for one in (path, *deciding)]


def _whole_numbers(space: Space, path: str) -> tuple[int, ...]:
    """The values of a range that some condition names; the others decide nothing."""
    named = (value for one in space.values() for value in one.conditions.get(path, ()))
    return tuple(dict.fromkeys(int(value) for value in named))
