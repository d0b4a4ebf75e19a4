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
_CONNECT_S = 5
"""A host that drops packets would be waited for by the system's own patience, minutes."""
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_AWAY_CODES = {
    "INTERNAL_ERROR",
    "TEMPORARILY_UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "ABORTED",
}
_CARRIERS = ("sqlalchemy", "requests", "urllib3", "botocore", "boto3", "azure", "google")
"""Packages that reach databases, servers and buckets; what they raise says that something was not reached."""
_AWAY_STATUS = (408, 429)
"""Request timeout, too many requests; all other answers below 500 are refusals."""


def import_mlflow() -> None:
    """Takes seconds the first time, and is therefore done before anybody is made to wait for a lock."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def opened(uri: str, experiment: str, artifact_root: str | None, *, create: bool = True) -> tuple[Any, str]:
    """A client and the id of the experiment; to be called `alone`, after `import_mlflow`.

    Args:
        create: whether an experiment that is not there is made. A schema always is.

    Raises:
        ConfigError: an address or experiment that cannot be used, or one that is not there nor to be made.
    """
    import mlflow

    _knock(uri)
    try:
        client = mlflow.MlflowClient(uri)
        return client, _experiment_id(client, experiment, artifact_root, create)
    except mlflow.exceptions.MlflowException as error:
        if is_away(error):
            raise
        raise ConfigError(f"tracking.uri: {uri} cannot be used: {sentence(error)}") from None


@contextmanager
def alone(uri: str) -> Iterator[None]:
    """One thread of one process at a time in an SQLite file; servers sort out their clients themselves.

    Several at once break a schema that is being made. Later they would wait for each other in SQLite, whose
    waiting has no order: of many writers some are passed over until their time is up.
    """
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_away(error: Exception) -> bool:
    """Whether an error says that the server or database does not answer, rather than that it refuses."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return bool(status >= 500 or status in _AWAY_STATUS)
    if isinstance(error, OSError) or type(error).__module__.startswith(_CARRIERS):
        return True
    return getattr(error, "error_code", None) in _AWAY_CODES


def refuses(error: Exception) -> bool:
    """Whether an error is MLflow's answer to something that it does not accept."""
    return type(error).__module__.startswith(("mlflow", "requests")) and not is_away(error)


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

        waiting = {"connect_timeout": _CONNECT_S} if uri.startswith("postgresql") else {}
        engine = sqlalchemy.create_engine(uri, connect_args=waiting)
        try:
            engine.connect().close()
        finally:
            engine.dispose()


def _experiment_id(client: Any, name: str, artifact_root: str | None, create: bool) -> str:
    found = client.get_experiment_by_name(name)
    if found is None and not create:
        there = ", ".join(sorted(repr(other.name) for other in client.search_experiments()))
        raise ConfigError(f"tracking.experiment: there is no {name!r} in MLflow; found {there or 'none'}")
    if found is None:
        return str(client.create_experiment(name, artifact_location=artifact_root))
    if found.lifecycle_stage != "active":
        raise ConfigError(
            f"tracking.experiment: {name!r} was deleted in MLflow; restore it there or set another name"
        )
    return str(found.experiment_id)
