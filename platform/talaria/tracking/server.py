"""One experiment of an MLflow server or database, asked with patience."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from talaria.errors import ConfigError
from talaria.tracking.connection import alone, import_mlflow, is_away, opened, refuses, sentence, sqlite_path
from talaria.tracking.patience import Patience, Rest

LOGGER = logging.getLogger("talaria.tracking")

Answer = TypeVar("Answer")


class Server:
    """Where runs are kept. Threads may share it."""

    def __init__(
        self,
        uri: str,
        experiment: str,
        artifact_root: Path | str | None = None,
        patience: Patience | None = None,
        *,
        create: bool = True,
    ) -> None:
        """Nothing is opened before the first call, because MLflow takes seconds to import.

        Args:
            uri: tracking URI; an SQLite file must be absolute.
            experiment: its name.
            artifact_root: absolute folder or URI for the artifacts of a new experiment in a database. A
                server (`http://...`) decides by itself: what one client calls a folder, others may not see.
            patience: how long to wait for a server that is away.
            create: whether a database or experiment that is not there is made at the first call, or an error.

        Raises:
            ConfigError: a relative SQLite file, or one that does not exist and is not to be made.
        """
        database = sqlite_path(uri)
        if database is not None and not create and not database.is_file():
            raise ConfigError(
                f"{database} does not exist; run a pipeline first, or name another MLflow store"
            )
        self.uri = uri
        self.experiment = experiment
        self._artifact_root = _root(uri, artifact_root)
        self._create = create
        self._patience = patience or Patience()
        self._rest = Rest(self._patience)
        self._lock = threading.Lock()
        self._opened: tuple[Any, str] | None = None
        self._unsent = 0

    @property
    def unsent(self) -> int:
        """Pieces of work that the server was too far away to take, so far: nobody repeats them by itself."""
        return self._unsent

    def connected(self) -> tuple[Any, str]:
        """An MLflow client and the id of the experiment; to be asked for inside some work."""
        with self._lock:
            if self._opened is None:
                self._opened = opened(self.uri, self.experiment, self._artifact_root, create=self._create)
            return self._opened

    def attempt(self, what: str, work: Callable[[Any], Answer]) -> Answer | None:
        """Do some work; None where the server refuses it (a warning) or is away (one warning, and counted).

        Args:
            what: words for a warning.
            work: takes an MLflow client; may be called several times, and a call whose answer was lost may
                have done its work.
        """
        if self._rest.resting:
            self._count_unsent()
            return None
        try:
            answer = self._patiently(work)
        except ValueError as refusal:
            LOGGER.warning("mlflow: %s was refused: %s", what, refusal)
            return None
        except ConnectionError as error:
            self._count_unsent()
            if self._rest.begin():
                LOGGER.warning(
                    "mlflow: %s does not answer (%s); the run goes on, its results are on disk, and the same "
                    "command sends them later",
                    self.uri,
                    error,
                )
            return None
        if self._rest.end():
            LOGGER.info("mlflow: %s answers again", self.uri)
        return answer

    def insist(self, what: str, work: Callable[[Any], Answer]) -> Answer:
        """Do some work that nothing can replace.

        Raises:
            ConfigError: the server is away, or cannot be used at all.
            ValueError: it refuses, with its reason.
        """
        try:
            return self._patiently(work)
        except ConnectionError as error:
            raise ConfigError(
                f"tracking.uri: {self.uri} does not answer ({error}); needed to {what}"
            ) from None

    def _patiently(self, work: Callable[[Any], Answer]) -> Answer:
        """Try until the server answers or patience ends.

        Raises:
            ConnectionError: the server is away.
            ValueError: it refuses, with its reason.
        """
        import_mlflow()
        began_s = time.monotonic()
        for failures in itertools.count(1):
            try:
                with alone(self.uri):
                    return work(self.connected()[0])
            except Exception as error:
                if refuses(error):
                    raise ValueError(sentence(error)) from error
                if not is_away(error):
                    raise
                delay_s = self._patience.delay_s(failures, time.monotonic() - began_s)
                if delay_s is None:
                    raise ConnectionError(sentence(error)) from error
            time.sleep(delay_s)
        raise AssertionError("attempts are counted without end")

    def _count_unsent(self) -> None:
        with self._lock:
            self._unsent += 1


def _root(uri: str, artifact_root: Path | str | None) -> str | None:
    if uri.startswith(("http:", "https:")):
        return None
    return artifact_root.resolve().as_uri() if isinstance(artifact_root, Path) else artifact_root
