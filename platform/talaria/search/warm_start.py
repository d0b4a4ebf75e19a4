"""What earlier searches found, as far as it is of use to this one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from talaria.config.fingerprint import plain
from talaria.config.search import SearchSection
from talaria.search.front import ranked
from talaria.search.trials import TrialResult
from talaria.store.files import read_json, write_json

_FILE = "warm_start.json"
_MOST_FIRST = 3
_LONGEST = 8000  # characters of a tag


@dataclass(frozen=True)
class WarmStart:
    """Trials of earlier searches, their values by paths of this recipe.

    Attributes:
        finished: judged on the same as this search's own.
        first: values to try first, the best of trials that were judged on something else.
    """

    finished: tuple[TrialResult, ...] = ()
    first: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class EarlierTrial:
    """A trial as MLflow has it.

    Attributes:
        judged_on: fingerprint of what decides its score besides its values.
        result: its values by their paths below its target.
    """

    judged_on: str
    result: TrialResult

    @property
    def text(self) -> str:
        """As the tag of an MLflow run; `read` reads it. Of very many scores the last one is kept."""
        fields = {"judged_on": self.judged_on, **plain(self.result)}
        text = json.dumps(fields)
        return text if len(text) <= _LONGEST else json.dumps({**fields, "scores": fields["scores"][-1:]})

    @classmethod
    def read(cls, name: str, text: str) -> EarlierTrial | None:
        """From a tag; None where it is none, such as a person's own."""
        try:
            fields = json.loads(text)
            judged_on = str(fields.pop("judged_on"))
            return cls(judged_on, TrialResult.of_json({**fields, "name": name, "own": False}))
        except (ValueError, KeyError, TypeError):
            return None


def warm_start(earlier: Iterable[EarlierTrial], section: SearchSection, judged_on: str) -> WarmStart:
    """The earlier trials that fit the space, parted by what they were judged on; of equal ones the first."""
    unlike: dict[str, EarlierTrial] = {}
    for one in earlier:
        unlike.setdefault(json.dumps([one.judged_on, one.result.values], sort_keys=True), one)
    fitting = [(one.judged_on == judged_on, _as_own(one, section)) for one in unlike.values()]
    fitting = [(same, trial) for same, trial in fitting if fits(trial.values, section)]
    others = ranked([trial for same, trial in fitting if not same])
    return WarmStart(
        finished=tuple(trial for same, trial in fitting if same),
        first=tuple(trial.values for trial in others[:_MOST_FIRST]),
    )


def fits(values: Mapping[str, Any], section: SearchSection) -> bool:
    """Whether a trial of this search could draw exactly these values."""
    drawn: dict[str, Any] = {}
    for path, distribution in section.drawing_order:
        if distribution.applies(drawn):
            if path not in values or not distribution.holds(values[path]):
                return False
            drawn[path] = values[path]
    return drawn.keys() == values.keys()


def kept_warm_start(folder: Path) -> WarmStart | None:
    """The warm start that a search began with; a restarted one takes the same."""
    path = folder / _FILE
    if not path.is_file():
        return None
    found = read_json(path)
    return WarmStart(tuple(map(TrialResult.of_json, found["finished"])), tuple(found["first"]))


def keep_warm_start(folder: Path, found: WarmStart) -> None:
    """Keep it beside the trials."""
    write_json(folder / _FILE, plain(found))


def _as_own(trial: EarlierTrial, section: SearchSection) -> TrialResult:
    values = {
        path if path.startswith("postprocess.") else f"{section.target}.{path}": value
        for path, value in trial.result.values.items()
    }
    return replace(trial.result, values=values)
