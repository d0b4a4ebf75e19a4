"""What is in MLflow: runs that a filter matches, and the JSON files among their artifacts."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talaria.errors import ConfigError
from talaria.tracking.server import Server

_PAGE = 1000


@dataclass(frozen=True)
class FoundRun:
    """A run as MLflow has it.

    Attributes:
        run_id: of MLflow.
        metrics: the last value of each.
        started_ms: since 1970.
        address: `models:/name/version` where a registered version led to the run, else empty.
    """

    run_id: str
    name: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    started_ms: int = 0
    address: str = ""

    @classmethod
    def of(cls, run: Any, address: str = "") -> FoundRun:
        """From MLflow's own record."""
        data, info = run.data, run.info
        return cls(
            run_id=info.run_id,
            name=info.run_name,
            tags=dict(data.tags),
            params=dict(data.params),
            metrics=dict(data.metrics),
            started_ms=info.start_time or 0,
            address=address,
        )


class Reader:
    """Asks for runs; every answer is needed, so that a server that is away is an error."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def runs(self, filter_string: str, setting: str) -> list[FoundRun]:
        """The runs of the experiment that an MLflow filter matches, oldest first.

        Args:
            setting: where the filter comes from; it leads an error.

        Raises:
            ConfigError: the filter is invalid, or the server cannot be reached.
        """
        try:
            runs = self._server.insist("find runs", lambda client: self.search(client, filter_string))
        except ValueError as error:
            raise ConfigError(
                f"{setting}: MLflow cannot read the filter {filter_string!r}: {error}"
            ) from None
        return [FoundRun.of(run) for run in runs]

    def search(self, client: Any, filter_string: str) -> list[Any]:
        """MLflow's own records, all pages, oldest first."""
        runs: list[Any] = []
        token = None
        while True:
            page = client.search_runs(
                [self._server.connected()[1]],
                filter_string,
                max_results=_PAGE,
                order_by=["start_time ASC"],
                page_token=token,
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def json_artifact(self, run_id: str, name: str) -> Any:
        """The content of a JSON file among a run's artifacts; None where it has no such file.

        Raises:
            ConfigError: the server, or the place where it keeps artifacts, cannot be reached.
        """

        def load(client: Any) -> Any:
            if name not in [item.path for item in client.list_artifacts(run_id)]:
                return None
            with tempfile.TemporaryDirectory() as folder:
                path = Path(client.download_artifacts(run_id, name, folder))
                return json.loads(path.read_text(encoding="utf-8"))

        try:
            return self._server.insist(f"read {name} of run {run_id}", load)
        except ValueError as error:
            raise ConfigError(f"{name} of run {run_id} cannot be read: {error}") from None
