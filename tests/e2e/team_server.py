"""A real PostgreSQL and a real MLflow server on it, on loopback and free ports, ended with the test."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

_LIMIT_S = 90.0
_DEBIAN = "/usr/lib/postgresql/*/bin"


def missing_postgres() -> str | None:
    """Why there is no PostgreSQL to be started here; None where there is."""
    if _binary("postgres") is None or _binary("initdb") is None:
        return "PostgreSQL is not installed (Debian: apt install postgresql)"
    if os.geteuid() == 0 and _user() is None:
        return "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody"
    return None


class Postgres:
    """A database in a folder of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        self.port = free_port()
        self.uri = f"postgresql://mlflow@127.0.0.1:{self.port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self.folder, *(_user() or ("", "")))
        made = [str(_binary("initdb")), "-D", str(self.folder / "data"), "-U", "mlflow", "--auth=trust", "-N"]
        subprocess.run(made, check=True, capture_output=True, cwd=self.folder, **_as_user())

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        own = ["-p", str(self.port), "-k", str(self.folder), "-c", "listen_addresses=127.0.0.1"]
        with (self.folder / "said.txt").open("ab") as said:
            self._process = subprocess.Popen(
                [str(_binary("postgres")), "-D", str(self.folder / "data"), *own],
                stdout=said,
                stderr=said,
                cwd=self.folder,
                **_as_user(),
            )
        wait_until(self._answers, self._process, self.folder / "said.txt")

    def stop(self) -> None:
        """End it at once, connections and all."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def close(self) -> None:
        """End it and remove everything."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.uri, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class MlflowServer:
    """`mlflow server` as docs/guides/mlflow.md starts it."""

    def __init__(self, database: str, folder: Path) -> None:
        """Nothing is started yet.

        Args:
            database: its backend store.
            folder: for artifacts and what it says.
        """
        self.artifacts = folder / "artifacts"
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._said = folder / "server.txt"
        self._command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database]
        self._command += ["--artifacts-destination", str(self.artifacts), "--host", "127.0.0.1"]
        self._command += ["--port", str(self.port), "--workers", "1"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._said.open("ab") as said:
            self._process = subprocess.Popen(
                self._command,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        wait_until(self._answers, self._process, self._said)

    def kill(self) -> None:
        """Take it away in the middle of whatever it does."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes] | None = None, said: Path | None = None
) -> None:
    """Wait for something, unless the process that should bring it about has ended."""
    ends_s = time.monotonic() + _LIMIT_S
    while not ready():
        words = said.read_text() if said else ""
        assert process is None or process.poll() is None, f"ended by itself:\n{words}"
        assert time.monotonic() < ends_s, f"{_LIMIT_S} s are over:\n{words}"
        time.sleep(0.05)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _binary(name: str) -> str | None:
    folders = sorted(str(path) for path in Path("/").glob(_DEBIAN.lstrip("/")))
    return shutil.which(name, path=os.pathsep.join([*reversed(folders), os.environ.get("PATH", "")]))


def _user() -> tuple[int, int] | None:
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return found.pw_uid, found.pw_gid
    return None


def _as_user() -> dict[str, int]:
    """Arguments of subprocess that drop root's rights, which PostgreSQL refuses."""
    user = _user() if os.geteuid() == 0 else None
    return {"user": user[0], "group": user[1]} if user else {}
