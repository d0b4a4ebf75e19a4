"""Members and ensembles of an MLflow experiment, and what one ensemble found out about its members."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from talaria.errors import ConfigError
from talaria.tracking.mlflow_tracker import KIND_TAG, MEMBER_TAG, PREDICTED_FILTER
from talaria.tracking.reading import FoundRun, Reader
from talaria.tracking.server import Server
from talaria.tracking.versions import Registry

_ENSEMBLES = f"tags.{KIND_TAG} = 'ensemble'"
_ENSEMBLE_JSON = "ensemble.json"


@dataclass(frozen=True)
class Entry:
    """A member or an ensemble.

    Attributes:
        run: as MLflow has it.
        pointing: aliases and versions of registered models that lead to it.
    """

    run: FoundRun
    pointing: tuple[str, ...] = ()

    @property
    def is_ensemble(self) -> bool:
        """Whether it is an ensemble rather than a member."""
        return self.run.tags.get(KIND_TAG) == "ensemble"

    @property
    def name(self) -> str:
        """Without its pipeline's name."""
        short = self.run.name.removeprefix(f"{self.pipeline}/")
        return f"ensemble {short}" if self.is_ensemble else short

    @property
    def pipeline(self) -> str:
        """`run.name` of its pipeline."""
        return self.run.tags.get("talaria.pipeline", "")

    @property
    def average_map(self) -> float | None:
        """On the judged subset, in [0, 1]; None before an ensemble judged it."""
        return self.run.metrics.get("learned_weights_map" if self.is_ensemble else "average_map")

    @property
    def gain(self) -> float | None:
        """Of an ensemble over its best member, in mAP."""
        best = self.run.metrics.get("best_member_map")
        return None if best is None or self.average_map is None else self.average_map - best

    @property
    def chosen(self) -> str:
        """`member`, where the tag says so, and what leads to the run in the registry."""
        tagged = self.run.tags.get(MEMBER_TAG) == "yes"
        return ", ".join([*(["member"] if tagged else []), *self.pointing])


@dataclass(frozen=True)
class EnsembleReport:
    """One ensemble: its run and the content of its `ensemble.json`."""

    entry: Entry
    result: dict[str, Any]


class Leaderboard:
    """What a person looks at before picking members."""

    def __init__(self, uri: str, experiment: str) -> None:
        """Nothing is opened, and nothing that does not exist is made.

        Raises:
            ConfigError: a relative SQLite file.
        """
        self._server = Server(uri, experiment, create=False)
        self._reader = Reader(self._server)
        self._registry = Registry(self._server)

    def entries(self, filter_string: str | None) -> list[Entry]:
        """Members and ensembles, the best first; without mAP by their proposals' AUC, then by name.

        Args:
            filter_string: an MLflow filter that they must match, too.

        Raises:
            ConfigError: there is none, or the store cannot be read.
        """
        further = f" and {filter_string}" if filter_string else ""
        runs = [
            run
            for wanted in (PREDICTED_FILTER, _ENSEMBLES)
            for run in self._reader.runs(f"{wanted}{further}", "--filter")
        ]
        if not runs:
            matching = f" that matches {filter_string!r}" if filter_string else ""
            raise ConfigError(
                f"{self._server.uri}: experiment {self._server.experiment!r} has no member and no ensemble"
                f"{matching}; run jobs/full_pipeline.py, or change --filter, --experiment or --tracking-uri"
            )
        pointing = self._registry.aliases()
        found = [Entry(run, tuple(pointing.get(run.run_id, ()))) for run in runs]
        return sorted(found, key=_rank)

    def ensemble(self, entries: Sequence[Entry], wanted: str | None) -> EnsembleReport | None:
        """One ensemble's report.

        Args:
            entries: of `entries()`.
            wanted: a run's id or name; None takes the latest.

        Returns:
            None where nothing was wanted and there is no ensemble.

        Raises:
            ConfigError: no ensemble, or several, are called so, or its artifact is missing.
        """
        ensembles = [entry for entry in entries if entry.is_ensemble]
        if wanted is None and not ensembles:
            return None
        entry = (
            named(ensembles, wanted, "--ensemble")
            if wanted is not None
            else max(ensembles, key=lambda entry: entry.run.started_ms)
        )
        result = self._reader.json_artifact(entry.run.run_id, _ENSEMBLE_JSON)
        if result is None:
            raise ConfigError(
                f"--ensemble: run {entry.run.run_id} ({entry.run.name}) has no artifact {_ENSEMBLE_JSON}; "
                "it did not finish, or its artifacts lie where this machine does not reach them"
            )
        return EnsembleReport(entry, result)

    def register(self, entries: Sequence[Entry], wanted: str, name: str, alias: str | None) -> str:
        """Make a member a version of a registered model; returns `models:/name/version`.

        Raises:
            ConfigError: no member, or several, are called so, or MLflow does not take the name or the alias.
        """
        members = [entry for entry in entries if not entry.is_ensemble]
        return self._registry.register(named(members, wanted, "--register").run, name, alias)


def named(entries: Sequence[Entry], wanted: str, option: str) -> Entry:
    """The entry with this run id, or this name with or without its pipeline.

    Raises:
        ConfigError: none or several have it.
    """
    found = [one for one in entries if wanted in (one.run.run_id, one.run.name, one.name)]
    if len(found) != 1:
        ids = ", ".join(one.run.run_id for one in found)
        names = ", ".join(one.run.name for one in entries[:12]) or "none"
        what = f"{len(found)} runs are called {wanted!r}: {ids}" if found else f"found no run {wanted!r}"
        raise ConfigError(f"{option}: {what}; expected one of {names}, or a run id")
    return found[0]


def _rank(entry: Entry) -> tuple[float, float, str]:
    average_map, auc = entry.average_map, entry.run.metrics.get("fit_auc")
    return (
        -average_map if average_map is not None else math.inf,
        -auc if auc is not None else math.inf,
        entry.run.name,
    )
