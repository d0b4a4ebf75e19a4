"""An MLflow client, opened at first use, and what its errors mean."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from talaria.errors import ConfigError

_SQLITE = "sqlite:///"
_QUIET = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Retries are ours (see patience.py): MLflow's own take minutes for each call."""
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_AWAY_CODES = {
    "INTERNAL_ERROR",
    "TEMPORARILY_UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "ABORTED",
}


def opened(uri: str, experiment: str, artifact_root: str | None) -> tuple[Any, str]:
    """A client and the id of the experiment; schema and experiment are made where they are not there.

    Raises:
        ConfigError: an address or experiment that cannot be used.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with _alone(uri):
        import mlflow

        _knock(uri)

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            client = mlflow.MlflowClient(uri)
            return client, _experiment_id(client, experiment, artifact_root)
        except mlflow.exceptions.MlflowException as error:
            if is_away(error):
                raise
            raise ConfigError(f"tracking.uri: {uri} cannot be used: {sentence(error)}") from None


def is_away(error: Exception) -> bool:
    """Whether an error says that the server or database does not answer, rather than that it refuses."""
    if isinstance(error, OSError) or type(error).__module__.startswith(("sqlalchemy", "requests", "urllib3")):
        return True
    return getattr(error, "error_code", None) in _AWAY_CODES


def refuses(error: Exception) -> bool:
    """Whether an error is MLflow's answer to something that it does not accept."""
    return type(error).__module__.startswith("mlflow") and not is_away(error)


def sentence(error: Exception) -> str:
    """The first line of an error."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def sqlite_path(uri: str) -> Path | None:
    """The file of an SQLite address; None for servers.

    Raises:
        ConfigError: a relative file, which every worker would look for elsewhere.
    """
    if not uri.startswith("sqlite:"):
        return None
    path = Path(uri.removeprefix(_SQLITE).partition("?")[0])
    if not uri.startswith(_SQLITE) or not path.is_absolute():
        raise ConfigError(
            f"tracking.uri: found {uri!r}, expected an absolute file such as sqlite:////home/me/mlflow.db"
        )
    return path


def _knock(uri: str) -> None:
    """Raise at once where a database does not answer; MLflow would try for minutes by itself."""
    if uri.partition("://")[0].partition("+")[0] in _DATABASES:
        import sqlalchemy

        engine = sqlalchemy.create_engine(uri)
        try:
            engine.connect().close()
        finally:
            engine.dispose()


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """One process at a time makes an SQLite schema: several at once break it."""
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _experiment_id(client: Any, name: str, artifact_root: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location=artifact_root))
    if found.lifecycle_stage != "active":
        raise ConfigError(
            f"tracking.experiment: {name!r} was deleted in MLflow; restore it there or set another name"
        )
    return str(found.experiment_id)
