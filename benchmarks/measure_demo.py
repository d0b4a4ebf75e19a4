"""Time and memory of `make demo`: a first call from nothing, then a second one that skips everything.

Memory is the resident size of the job and of all processes below it, Ray's included, sampled and summed.
Pages that processes share are counted for each of them, so the figure errs on the high side.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
_EVERY_S = 1.0


def measured(command: list[str], home: Path) -> tuple[float, float]:
    """Seconds and peak GiB of a command that must end well."""
    began_s, peak = time.monotonic(), 0
    with (home / "output.txt").open("w") as output:
        job = psutil.Popen(
            command, env={**os.environ, "TALARIA_HOME": str(home)}, stdout=output, stderr=subprocess.STDOUT
        )
        while job.poll() is None:
            peak = max(peak, resident_bytes(job))
            time.sleep(_EVERY_S)
    if job.returncode:
        raise SystemExit((home / "output.txt").read_text())
    return time.monotonic() - began_s, peak / 2**30


def resident_bytes(job: psutil.Process) -> int:
    """Resident size of a process and all below it."""
    total = 0
    for process in [job, *job.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default=str(ROOT / "jobs" / "recipes" / "demo.yaml"))
    arguments = parser.parse_args()
    command = [sys.executable, str(ROOT / "jobs" / "full_pipeline.py"), "--recipe", arguments.recipe]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first call", "second call"):
            seconds, gib = measured(command, Path(folder))
            print(f"{name}: {seconds:.0f} s, at most {gib:.2f} GiB resident in all processes", flush=True)
        table = (Path(folder) / "output.txt").read_text()
    print(table[table.index("average mAP") :])


if __name__ == "__main__":
    main()
