"""Searches in processes of their own, whose Ray lives in a folder that leaves with them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

DRIVER = Path(__file__).with_name("search_driver.py")
ROOT = Path(__file__).resolve().parents[2]
_PATHS = os.pathsep.join(str(ROOT / folder) for folder in ("platform", "models", "tests"))

SPACE = {
    "detectors.bmn.optim.lr": {"type": "log_uniform", "low": 1e-4, "high": 1e-1},
    "detectors.bmn.model.lgte_layers": {"type": "choice", "choices": [0, 1]},
    "detectors.bmn.model.lgte_window": {
        "type": "choice",
        "choices": [3, 5],
        "when": {"detectors.bmn.model.lgte_layers": 1},
    },
}
SEARCH: dict[str, Any] = {
    "target": "detectors.bmn",
    "space": SPACE,
    "num_trials": 5,
    "epochs": 4,
    "grace_epochs": 1,
}


@contextmanager
def driver(material: Path, out: Path, **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """A search that runs while the block does; what is left of it ends with the block."""
    asked = {"material": str(material), "out": str(out), "max_concurrent": settings.pop("concurrent", 1)}
    out.mkdir(parents=True, exist_ok=True)
    file = out.with_suffix(".json")
    file.write_text(json.dumps({**asked, "search": {**SEARCH, **settings}}))
    with tempfile.TemporaryDirectory(prefix="tl", dir="/tmp", ignore_cleanup_errors=True) as ray_folder:
        process = subprocess.Popen(
            [sys.executable, str(DRIVER), str(file)],
            env={**os.environ, "RAY_TMPDIR": ray_folder, "PYTHONPATH": _PATHS},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()
            end_below(ray_folder)


def searched(material: Path, out: Path, **settings: Any) -> dict[str, Any]:
    """A search from its start, or where it is, to its end: what it printed."""
    with driver(material, out, **settings) as process:
        said, errors = process.communicate(timeout=900)
        assert process.returncode == 0, errors
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def killed(material: Path, out: Path, ready: Callable[[], bool], after_s: float, **settings: Any) -> bool:
    """Kill -9 a search some time after something has happened; whether it still ran by then."""
    with driver(material, out, **settings) as process:
        ends_s = time.monotonic() + 600
        while not ready() and process.poll() is None:
            assert time.monotonic() < ends_s, "what the kill waits for does not happen"
            time.sleep(0.005)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


def end_below(folder: str) -> None:
    """End what is left of a Ray: what names the folder, and the children of that."""
    named = [one for one in psutil.process_iter(["cmdline"]) if folder in " ".join(one.info["cmdline"] or ())]
    for process in named:
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in (*process.children(recursive=True), process):
                each.kill()
