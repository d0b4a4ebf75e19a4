"""Jobs as a person runs them: processes of their own, whose home and Ray session leave with the test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
MICRO = Path(__file__).with_name("micro.yaml")
_NOT_A_PERSONS = ("PYTHONPATH", "TALARIA_HOME", "RAY_")
"""Beginnings of names that tests of this process may have set."""

SAME_BYTES = (
    "features/*/videos/*.parquet",
    "features/*/contract.json",
    "finetune/*/model.safetensors",
    "train/*/model.safetensors",
    "predict/*/raw/*.parquet",
    "ensemble/*/detections.json",
)
"""What must be the same whatever happened to a run: everything that decides the detections, and these."""


@dataclass
class Home:
    """A TALARIA_HOME and all that runs for it; `ray_dir` is short, because socket paths may have 107 bytes.

    Attributes:
        root: where the project lies.
        python: the interpreter of the jobs.
        variables: environment variables besides the usual ones.
    """

    path: Path
    root: Path = ROOT
    python: str = sys.executable
    variables: dict[str, str] = field(default_factory=dict)
    ray_dir: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="tl", dir="/tmp")))

    @property
    def environment(self) -> dict[str, str]:
        """A person's environment, without what tests/conftest.py sets."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_A_PERSONS)}
        own = {"TALARIA_HOME": str(self.path), "RAY_TMPDIR": str(self.ray_dir), "HOME": str(self.path)}
        return {**kept, **own, **self.variables}

    def command(self, job: str, *arguments: str, recipe: Path | None = MICRO) -> list[str]:
        """The command line of a job."""
        chosen = ["--recipe", str(recipe)] if recipe else []
        return [self.python, str(self.root / "jobs" / f"{job}.py"), *chosen, *arguments]

    def run(self, job: str, *arguments: str, recipe: Path | None = MICRO) -> subprocess.CompletedProcess[str]:
        """A job from its start to its end."""
        return subprocess.run(
            self.command(job, *arguments, recipe=recipe),
            env=self.environment,
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, job: str, *arguments: str) -> subprocess.Popen[str]:
        """A job in a process group of its own, its output in `driver.txt`."""
        with (self.path / "driver.txt").open("w") as output:
            return subprocess.Popen(
                self.command(job, *arguments),
                env=self.environment,
                cwd=self.path,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                preexec_fn=_hear_ctrl_c,
            )

    def signal_when(
        self, ready: Callable[[], bool], number: int = signal.SIGKILL, limit_s: float = 300
    ) -> int:
        """Run the whole pipeline, signal the driver's process group once `ready`, return its exit code."""
        driver = self.start("full_pipeline")
        try:
            self._wait(driver, ready, limit_s)
            os.killpg(driver.pid, number)
            code = driver.wait(60)
        finally:
            if driver.poll() is None:
                driver.kill()
            self.clean()
        return code

    def _wait(self, driver: subprocess.Popen[str], ready: Callable[[], bool], limit_s: float) -> None:
        ends_s = time.monotonic() + limit_s
        while not ready():
            said = (self.path / "driver.txt").read_text()
            assert driver.poll() is None, f"the driver ended before it could be killed:\n{said}"
            assert time.monotonic() < ends_s, f"{limit_s} s are over:\n{said}"
            time.sleep(0.02)

    def clean(self) -> None:
        """End the Ray processes of this home, found by their session's folder, and empty that folder."""
        end_ray_below(self.ray_dir)
        for path in self.ray_dir.iterdir():
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """End and remove everything."""
        self.clean()
        shutil.rmtree(self.ray_dir, ignore_errors=True)

    def folder(self, name: str = "micro") -> Path:
        """A run's folder."""
        return self.path / "runs" / name

    def summary(self, name: str = "micro") -> dict[str, Any]:
        """A run's summary."""
        read: dict[str, Any] = json.loads((self.folder(name) / "summary.json").read_text())
        return read


@dataclass(frozen=True)
class FullRun:
    """A whole run that nothing disturbed."""

    home: Home
    ended: subprocess.CompletedProcess[str]


MakeHome = Callable[[str], Home]


def _hear_ctrl_c() -> None:
    """A suite that was started in the background ignores Ctrl-C, and what it starts would, too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def end_ray_below(ray_dir: Path) -> None:
    """Kill the processes whose command line names a session below `ray_dir`, and their children."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["cmdline"]):
        if process.pid != os.getpid() and any(str(ray_dir) in part for part in process.info["cmdline"] or ()):
            found[process.pid] = process
    for process in list(found.values()):
        try:
            found |= {child.pid: child for child in process.children(recursive=True)}
        except psutil.NoSuchProcess:
            continue
    for process in found.values():
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(found.values(), timeout=20)


def contents(folder: Path, *patterns: str) -> dict[str, bytes]:
    """The bytes of all files that match, by their path below `folder`."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for pattern in patterns
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    }


def stamps(folder: Path, pattern: str = "**/*") -> dict[str, tuple[int, int]]:
    """When each file was last written, and its size."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    }


def lines(path: Path) -> int:
    """How many lines a file has by now; 0 where it is not there."""
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0
