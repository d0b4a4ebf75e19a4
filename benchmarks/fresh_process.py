"""Measurements that do not disturb one another: a process each, its peak memory counted from a mark."""

from __future__ import annotations

import ctypes
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

Case = TypeVar("Case")
Found = TypeVar("Found")
MEBIBYTE = 2**20


def measured_apart(measure: Callable[[Case], Found], case: Case) -> Found:
    """`measure(case)` in a fresh process, whose idle threads sleep in place of spinning.

    Spinning would count as processor time, and takes cores away where other programs run.
    """
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, case).result()


def return_freed_blocks() -> None:
    """From now on the C library gives every freed block of 1 MiB and more back to the system at once.

    By default it keeps up to 64 MiB of them, as large a share of a small peak as chance will have it. It is
    slower so: time is measured in another process.
    """
    mmap_threshold = -3  # M_MMAP_THRESHOLD of glibc's malloc.h
    ctypes.CDLL(None).mallopt(mmap_threshold, MEBIBYTE)


class PeakMemory:
    """Most memory in use since this was made, above what was in use then.

    On a GPU that of the device's allocator, otherwise resident memory, whose peak only Linux lets one reset:
    without that, what a process allocates and frees while it builds would hide what it needs later.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        if device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated() / MEBIBYTE
        else:
            self.before = _status_mib("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")

    def mib(self) -> float:
        if self.device.startswith("cuda"):
            return torch.cuda.max_memory_allocated() / MEBIBYTE - self.before
        return _status_mib("VmHWM") - self.before


def available_mib() -> float:
    """Memory that a process can still take."""
    return _kibibytes(Path("/proc/meminfo"), "MemAvailable")


class Seconds(NamedTuple):
    """Time on the clock, and on the processor (all threads; on the host alone for a GPU)."""

    clock: float
    processor: float


def best(step: Callable[[], object], repeats: int, device: str) -> Seconds:
    """The least of either time over some runs: other programs on the machine only ever add."""
    runs = [_timed(step, device) for _ in range(repeats)]
    return Seconds(min(run.clock for run in runs), min(run.processor for run in runs))


def _timed(step: Callable[[], object], device: str) -> Seconds:
    clock, processor = time.perf_counter(), time.process_time()
    step()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return Seconds(time.perf_counter() - clock, time.process_time() - processor)


def _status_mib(field: str) -> float:
    return _kibibytes(Path("/proc/self/status"), field)


def _kibibytes(file: Path, field: str) -> float:
    """A field in kB of a /proc file, in MiB."""
    if not file.exists():
        raise SystemExit(f"{file} does not exist: memory is measured on Linux only")
    found = re.search(rf"^{field}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    assert found, field
    return int(found[1]) / 1024
