"""One call of the pipeline: its folder, its clock, Ray and MLflow once they are needed."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from talaria.cluster.connect import Capacity, connected
from talaria.config.fingerprint import plain
from talaria.config.loading import save_resolved
from talaria.config.schema import RunConfig
from talaria.errors import ConfigError
from talaria.log import duration_text
from talaria.store.artifact import Artifact
from talaria.store.files import read_json, write_json
from talaria.tracking.mlflow_tracker import RunRef, Tracker

LOGGER = logging.getLogger("talaria.pipeline")
_SECONDS = "seconds.json"
TRACKED = "tracked.json"


class Session:
    """What the stages of one run share."""

    def __init__(self, config: RunConfig, home: Path, runtime_env: Mapping[str, Any]) -> None:
        """Nothing is written before the first stage that has something to do.

        Args:
            config: the resolved recipe.
            home: folder below which runs/ lies, unless the recipe sets run.root.
            runtime_env: how code reaches Ray's workers.
        """
        self.config = config
        """The recipe, with the values that a search found once it has ended."""
        self._recipe = config
        self.home = Path(config.run.root).expanduser().resolve() if config.run.root else home.resolve()
        self.folder = self.home / "runs" / config.run.name
        self._runtime_env = runtime_env
        self._stack = ExitStack()
        self.worked = False
        """Whether this call did anything that was not done before."""

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def capacity(self) -> Capacity:
        """Ray, joined or started at the first stage that needs it."""
        LOGGER.info("ray: starting" if not os.environ.get("RAY_ADDRESS") else "ray: joining the cluster")
        return self._stack.enter_context(connected(self.config.resources, self._runtime_env))

    @cached_property
    def recipe(self) -> Path:
        """The resolved recipe in the run's folder, saved by the first stage that has something to do.

        Raises:
            ConfigError: the folder cannot be written.
        """
        path = self.folder / "recipe.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_resolved(self._recipe, path)
        except OSError as error:
            raise ConfigError(
                f"{self.folder}: cannot be written ({error.strerror}); set run.root or TALARIA_HOME to "
                "a folder that can"
            ) from None
        return path

    @property
    def tracking_uri(self) -> str:
        """Where MLflow keeps the runs."""
        return self.config.tracking.uri or f"sqlite:///{self.home / 'runs' / 'mlflow.db'}"

    @cached_property
    def tracker(self) -> Tracker:
        """MLflow, opened when the first piece of work is recorded."""
        return Tracker(
            self.tracking_uri, self.config.tracking.experiment, self.home / "runs" / "mlflow_artifacts"
        )

    @cached_property
    def parent(self) -> RunRef:
        """The pipeline's own MLflow run."""
        name = self.config.run.name
        run = self.tracker.run(
            f"{self.folder}", name, "pipeline", tags={"talaria.pipeline": name}, params=plain(self._recipe)
        )
        self.tracker.artifact(run, self.recipe)
        return run

    def artifact(self, stage: str, node: str, version: str, fields: Mapping[str, Any]) -> Artifact:
        """The folder of one piece of work of this run."""
        return Artifact(self.folder / stage / node, f"{stage}@{version}", fields)

    def child(
        self, artifact: Artifact, kind: str, params: Mapping[str, Any], tags: Mapping[str, str]
    ) -> RunRef:
        """The MLflow run of one piece of work, below the pipeline's."""
        key = f"{artifact.folder}/{artifact.fingerprint}"
        name = f"{self.folder.name}/{artifact.folder.name}"
        common = {"talaria.pipeline": self.config.run.name, "talaria.folder": str(artifact.folder)}
        return self.tracker.run(
            key, name, kind, parent=self.parent, tags={**common, **tags}, params=dict(params)
        )

    def track_once(self, artifact: Artifact, work: Callable[[], RunRef]) -> None:
        """Tell MLflow about finished work, unless it knows; told again later where the server was away.

        Args:
            artifact: the finished work; a marker is left beside its record.
            work: sends everything and returns the run; safe to repeat.
        """
        marker, uri = artifact.folder / TRACKED, self.tracking_uri
        if marker.is_file() and read_json(marker)["uri"] == uri:
            return
        unsent = self.tracker.unsent
        run = work()
        if run.run_id and self.tracker.unsent == unsent:
            write_json(marker, {"uri": uri, "run_id": run.run_id})

    @contextmanager
    def stage(self, name: str, detail: str) -> Iterator[None]:
        """Time a stage that has something to do, and say so."""
        _ = self.recipe
        self.worked = True
        LOGGER.info("%s: %s", name, detail)
        began_s = time.monotonic()
        try:
            yield
        finally:
            spent_s = time.monotonic() - began_s
            seconds = self.seconds()
            seconds[name] = round(seconds.get(name, 0.0) + spent_s, 1)
            write_json(self.folder / _SECONDS, seconds)
        LOGGER.info("%s: done in %s", name, duration_text(spent_s))

    def skipped(self, name: str, detail: str) -> None:
        """Say that a stage was finished earlier."""
        LOGGER.info("%s: finished earlier, skipped (%s)", name, detail)

    def seconds(self) -> dict[str, float]:
        """Time spent in each stage so far, all calls together."""
        path = self.folder / _SECONDS
        spent: dict[str, float] = read_json(path) if path.is_file() else {}
        return spent
