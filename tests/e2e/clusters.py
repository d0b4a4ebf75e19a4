"""Ray clusters on this machine whose nodes have the dependencies and not the project."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from by_hand import end_ray_below

_RAY = "from ray.scripts.scripts import main; main()"
_AGENT_LIMIT_S = 150.0


def bare_python(folder: Path) -> Path:
    """An interpreter with what is installed here but no editable install: `.pth` files lead one step only."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


@dataclass
class LocalCluster:
    """A head node with a dashboard, and more nodes on request; every node has a temporary folder of its own.

    Attributes:
        python: the interpreter of all nodes.
    """

    python: Path
    folders: list[Path] = field(default_factory=list)
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    port: int = 0
    dashboard_port: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """A node's environment: the interpreter first, nothing of the project, the token of this cluster."""
        dropped = ("PYTHONPATH", "VIRTUAL_ENV")
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in dropped and not name.startswith("RAY_")  # which tests of this process may have set
        }
        path = os.pathsep.join([str(self.python.parent), kept["PATH"]])
        access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}
        return {**kept, **access, "PATH": path, "HOME": str(self.folders[0])}

    @property
    def address(self) -> str:
        """What RAY_ADDRESS is set to."""
        return f"127.0.0.1:{self.port}"

    def start_head(self, cpus: int) -> None:
        """The first node."""
        self.port, self.dashboard_port = free_port(), free_port()
        self._start(
            "--head", f"--port={self.port}", f"--ray-client-server-port={free_port()}", f"--num-cpus={cpus}",
            "--include-dashboard=true", f"--dashboard-port={self.dashboard_port}",
        )  # fmt: skip

    def add_node(self, cpus: int) -> None:
        """One node more."""
        self._start(f"--address={self.address}", f"--num-cpus={cpus}")

    def ray(self, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Ray's own command line."""
        return subprocess.run(
            [str(self.python), "-c", _RAY, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            **options,  # type: ignore[call-overload]
        )

    def submitted(self, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        """`ray job submit`, tried again while the head's agent, which takes jobs, is still starting."""
        ends_s = time.monotonic() + _AGENT_LIMIT_S
        while True:
            ended = self.ray(*arguments, **options)
            if "No available agent to submit job" not in ended.stderr or time.monotonic() > ends_s:
                return ended
            time.sleep(1)

    def close(self) -> None:
        """End all nodes and remove their folders."""
        for folder in self.folders:
            end_ray_below(folder)
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _start(self, *arguments: str) -> None:
        self.folders.append(Path(tempfile.mkdtemp(prefix="tl", dir="/tmp")))
        ended = self.ray(
            "start", *arguments, f"--temp-dir={self.folders[-1]}", "--node-ip-address=127.0.0.1",
            f"--object-store-memory={150 * 2**20}", "--disable-usage-stats",
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
