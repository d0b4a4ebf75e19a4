"""Runs in MLflow: found again by their key, so that a killed and repeated pipeline makes none twice.

Whatever is logged lies on disk already. Where the server is away, a call waits a bounded time, says so once
and returns; the next call of the pipeline brings everything up to date.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from talaria.tracking.entries import (
    MOST_METRICS,
    MOST_NAMED,
    Row,
    batches,
    metric_rows,
    param_entries,
    rows_of_file,
    tag_entries,
)
from talaria.tracking.patience import Patience
from talaria.tracking.reading import FoundRun, Reader
from talaria.tracking.server import Server

KEY_TAG = "talaria.key"
KIND_TAG = "talaria.kind"
PREDICTIONS_TAG = "talaria.predictions"
"""Absolute folder of a run's raw predictions."""
MEMBER_TAG = "talaria.member"
"""`yes` puts a run into the ensemble; a person sets it in the UI."""
SUBSET_TAG = "talaria.subset"
"""Which videos an ensemble, or a member alone, was judged on."""
FEATURES_TAG = "talaria.features"
"""The backbone of the recipe whose features a member reads."""
BELIEF_TAG = "talaria.belief"
"""What the predictions are."""
MAPS, REFINED_PROPOSALS, FOUND_SEGMENTS = "maps", "refined proposals", "found segments"
TRIAL_TAG = "talaria.trial"
"""What a trial drew and what it was worth, in JSON."""
DEFAULT_FILTER = f"tags.{MEMBER_TAG} = 'yes'"
PREDICTED_FILTER = f"tags.{PREDICTIONS_TAG} LIKE '%'"
_PRIVATE_TAGS = ("mlflow.", KEY_TAG, PREDICTIONS_TAG, "talaria.folder")


@dataclass(frozen=True)
class RunRef:
    """A run.

    Attributes:
        run_id: of MLflow; empty where the server has been away so far.
        key: what it is found again by.
    """

    run_id: str
    key: str
    name: str


@dataclass(frozen=True)
class _Wanted:
    """What `run` was asked for, kept until the server can be told."""

    parent: RunRef | None
    tags: dict[str, str]
    params: dict[str, str]


class Tracker:
    """One experiment of an MLflow server or SQLite file. Threads may share it."""

    def __init__(
        self, uri: str, experiment: str, artifact_root: Path | str | None, patience: Patience | None = None
    ) -> None:
        """Nothing is opened before the first call; the arguments are those of `Server`.

        Raises:
            ConfigError: a relative SQLite file.
        """
        self.experiment = experiment
        self.server = Server(uri, experiment, artifact_root, patience)
        self._reader = Reader(self.server)
        self._lock = threading.RLock()
        self._wanted: dict[str, _Wanted] = {}
        self._run_ids: dict[str, str] = {}

    @property
    def unsent(self) -> int:
        """Calls so far of which MLflow has nothing, because the server was away."""
        return self.server.unsent

    def run(
        self,
        key: str,
        name: str,
        kind: str,
        parent: RunRef | None = None,
        *,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> RunRef:
        """The run with this key: found, and then going on, or made.

        Args:
            key: decides identity; make it of what decides the result, as parameters cannot change later.
            name: what people see.
            kind: `pipeline`, `train`, `trial`, `ensemble`, ...
            parent: the run that it is shown under.
            tags: set, replacing older values.
            params: nested settings; those that the run has already stay.
        """
        self._wanted[key] = _Wanted(
            parent,
            tag_entries({**(tags or {}), KEY_TAG: _plain_key(key), KIND_TAG: kind}),
            param_entries(params or {}),
        )
        ref = RunRef("", key, name)
        return RunRef(
            self.server.attempt(f"run {name}", lambda client: self._id(client, ref)) or "", key, name
        )

    def metrics(self, run: RunRef, metrics: Mapping[str, Any], step: int = 0) -> None:
        """Log the numbers of a mapping, but none that the run has with this step and value."""
        rows = metric_rows(metrics, step)
        self.server.attempt(f"metrics of {run.name}", lambda client: self._add_rows(client, run, rows))

    def sync_metrics(self, run: RunRef, path: Path) -> None:
        """Mirror a metrics.jsonl, as often as one likes: only what MLflow does not have yet is sent."""
        rows = rows_of_file(path)
        self.server.attempt(f"metrics of {run.name}", lambda client: self._add_rows(client, run, rows))

    def artifact(self, run: RunRef, path: Path, folder: str | None = None) -> None:
        """Copy a file or a whole folder to the run's artifacts, below `folder`.

        Raises:
            FileNotFoundError: there is nothing at `path`.
        """
        path.stat()

        def send(client: Any) -> None:
            log = client.log_artifacts if path.is_dir() else client.log_artifact
            log(self._id(client, run), str(path), folder)

        self.server.attempt(f"artifact {path.name} of {run.name}", send)

    def tag(self, run: RunRef, name: str, value: str) -> None:
        """Set a tag."""
        ((name, value),) = tag_entries({name: value}).items()
        self.server.attempt(
            f"tag of {run.name}", lambda client: client.set_tag(self._id(client, run), name, value)
        )

    def finish(self, run: RunRef, status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED") -> None:
        """End a run."""
        self.server.attempt(
            f"end of {run.name}", lambda client: client.set_terminated(self._id(client, run), status)
        )

    def find_members(self, filter_string: str = DEFAULT_FILTER) -> list[FoundRun]:
        """The runs of the experiment that `ensemble.members` matches, oldest first.

        Raises:
            ConfigError: the filter is invalid, or the server cannot be reached.
        """
        return self._reader.runs(filter_string, "ensemble.members")

    def find_trials(self, filter_string: str) -> list[FoundRun]:
        """The trials of searches among the runs that an MLflow filter matches, oldest first.

        Raises:
            ConfigError: the filter is invalid, or the server cannot be reached.
        """
        trials = f"{filter_string} and tags.{KIND_TAG} = 'trial'"
        return self._reader.runs(trials, "search.warm_start")

    def member_tags(self) -> dict[str, list[str]]:
        """Tags of the runs that have raw predictions, with their values: what a filter could ask for.

        Raises:
            ConfigError: the server cannot be reached.
        """
        values: dict[str, set[str]] = {}
        for run in self.find_members(PREDICTED_FILTER):
            for name, value in run.tags.items():
                if not name.startswith(_PRIVATE_TAGS):
                    values.setdefault(name, set()).add(value)
        return {name: sorted(values[name]) for name in sorted(values)}

    def _id(self, client: Any, ref: RunRef) -> str:
        """The MLflow id of a run, found or made if that was not possible before."""
        with self._lock:
            known = ref.run_id or self._run_ids.get(ref.key)
            if known:
                return known
            wanted = self._wanted[ref.key]
            found = self._reader.search(client, f"tags.{KEY_TAG} = '{_plain_key(ref.key)}'")
            run = found[0] if found else self._create(client, ref, wanted)
            if run.info.status != "RUNNING":
                client.update_run(run.info.run_id, status="RUNNING")
            self._complete(client, run, wanted)
            self._run_ids[ref.key] = str(run.info.run_id)
            return self._run_ids[ref.key]

    def _create(self, client: Any, ref: RunRef, wanted: _Wanted) -> Any:
        tags = {KEY_TAG: wanted.tags[KEY_TAG]}
        if wanted.parent is not None:
            tags["mlflow.parentRunId"] = self._id(client, wanted.parent)
        return client.create_run(self.server.connected()[1], tags=tags, run_name=ref.name)

    def _complete(self, client: Any, run: Any, wanted: _Wanted) -> None:
        """Add the tags and parameters that the run lacks."""
        from mlflow.entities import Param, RunTag

        tags = [RunTag(*item) for item in wanted.tags.items() if run.data.tags.get(item[0]) != item[1]]
        params = [Param(*item) for item in wanted.params.items() if item[0] not in run.data.params]
        for some_tags in batches(tags, MOST_NAMED):
            client.log_batch(run.info.run_id, tags=some_tags)
        for some_params in batches(params, MOST_NAMED):
            client.log_batch(run.info.run_id, params=some_params)

    def _add_rows(self, client: Any, ref: RunRef, rows: list[Row]) -> None:
        from mlflow.entities import Metric

        run_id = self._id(client, ref)
        has = client.get_run(run_id).data.metrics
        known = {
            (name, point.step, repr(point.value))
            for name in sorted({row[0] for row in rows} & has.keys())
            for point in client.get_metric_history(run_id, name)
        }
        now_ms = int(time.time() * 1000)
        missing = [
            Metric(name, value, now_ms, step)
            for name, step, value in rows
            if (name, step, repr(value)) not in known
        ]
        for some in batches(missing, MOST_METRICS):
            client.log_batch(run_id, metrics=some)


def _plain_key(key: str) -> str:
    """A key as a tag value that stands in a filter without being taken apart."""
    return re.sub(r"['\"`\\]", "_", key)
