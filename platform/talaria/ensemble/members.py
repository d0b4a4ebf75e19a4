"""Members of an ensemble: found in MLflow, and checked to be about the same videos."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talaria.errors import ConfigError
from talaria.prediction.stores import RawMeta, RawStore
from talaria.tracking.mlflow_tracker import PREDICTIONS_TAG, Tracker
from talaria.tracking.reading import FoundRun
from talaria.tracking.versions import ADDRESS, VERSION_FILTER, Registry

_MOST_TAGS = 12
_OWN = ("member", "proposals")
"""What members may differ in; those that refined other proposals are fused by their detections."""


@dataclass(frozen=True)
class Member:
    """One input of an ensemble.

    Attributes:
        name: what people call it; unique in the ensemble.
        run_id: its MLflow run.
        predictions: absolute folder of its raw predictions.
    """

    name: str
    run_id: str
    predictions: str

    def store(self) -> RawStore:
        """Its raw predictions."""
        return RawStore(Path(self.predictions))


def pick_members(tracker: Tracker, chosen: str) -> tuple[Member, ...]:
    """The runs that a person chose, by name.

    Args:
        chosen: an MLflow filter over runs; `versions:` and a filter over registered versions; or versions
            themselves, `models:/NAME@ALIAS` or `models:/NAME/VERSION`, separated by commas.

    Raises:
        ConfigError: the choice is invalid or empty, or a run has no address or the name of another.
    """
    found = _found(tracker, chosen)
    if not found:
        raise ConfigError(
            f"ensemble.members: the filter {chosen!r} matches no run of experiment "
            f"{tracker.experiment!r}; {_what_exists(tracker)}"
        )
    return checked_members(found)


def _found(tracker: Tracker, chosen: str) -> list[FoundRun]:
    if chosen.startswith(ADDRESS):
        return Registry(tracker.server).runs_at(chosen)
    if chosen.startswith(VERSION_FILTER):
        return Registry(tracker.server).runs_matching(chosen.removeprefix(VERSION_FILTER).strip())
    return tracker.find_members(chosen)


def checked_members(found: Sequence[FoundRun]) -> tuple[Member, ...]:
    """Runs as members, sorted by name.

    Raises:
        ConfigError: naming every run without an address and every name that several runs have.
    """
    problems = [
        f"ensemble.members: {_described(run)} has no tag {PREDICTIONS_TAG}; it made no raw predictions"
        for run in found
        if not run.tags.get(PREDICTIONS_TAG)
    ]
    for name, count in sorted(Counter(run.name for run in found).items()):
        if count > 1:
            runs = ", ".join(run.run_id for run in found if run.name == name)
            problems.append(
                f"ensemble.members: {count} runs have the name {name!r}: {runs}; pick one of them"
            )
    if problems:
        raise ConfigError(problems)
    members = [Member(run.name, run.run_id, run.tags[PREDICTIONS_TAG]) for run in found]
    return tuple(sorted(members, key=lambda member: member.name))


def member_stores(members: Sequence[Member]) -> dict[str, RawStore]:
    """The raw predictions by member name, if all are about the same videos.

    Raises:
        ConfigError: naming run and field of everything in which a member differs from the first one.
        DataError: predictions that are missing or damaged.
    """
    stores = {member.name: member.store() for member in members}
    first, first_meta = members[0], stores[members[0].name].meta
    problems = [
        f"ensemble.members: run {member.run_id} ({member.name}): {field}: {difference}, expected what run "
        f"{first.run_id} ({first.name}) has"
        for member in members[1:]
        for field, difference in _differences(first_meta, stores[member.name].meta)
    ]
    if problems:
        raise ConfigError(problems)
    return stores


def _differences(expected: RawMeta, found: RawMeta) -> list[tuple[str, str]]:
    """Fields that differ, and how."""
    fields = [field.name for field in dataclasses.fields(RawMeta) if field.name not in _OWN]
    pairs = ((name, getattr(expected, name), getattr(found, name)) for name in fields)
    return [(name, _difference(wanted, value)) for name, wanted, value in pairs if wanted != value]


def _difference(wanted: Any, value: Any) -> str:
    if isinstance(value, str):
        return f"found {value!r} instead of {wanted!r}"
    more, less = sorted(set(value) - set(wanted)), sorted(set(wanted) - set(value))
    if not more and not less:
        return "found the same entries in another order"
    return f"found {len(more)} others {more[:3]} and {len(less)} missing {less[:3]}"


def _described(run: FoundRun) -> str:
    via = f"{run.address}: " if run.address else ""
    return f"{via}run {run.run_id} ({run.name})"


def _what_exists(tracker: Tracker) -> str:
    tags = tracker.member_tags()
    if not tags:
        return "no run there has raw predictions yet"
    shown = [f"{name} = {' or '.join(repr(value) for value in values)}" for name, values in tags.items()]
    rest = f" and {len(shown) - _MOST_TAGS} more" if len(shown) > _MOST_TAGS else ""
    return f"its runs with raw predictions have the tags {', '.join(shown[:_MOST_TAGS])}{rest}"
