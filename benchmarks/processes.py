"""What the processes of an extraction hold and use, by kind: actors, decoders, the driver, Ray's own."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from contextlib import suppress
from types import TracebackType

import psutil

DRIVER, ACTOR, DECODER, RAY = "driver", "actor", "decoder", "Ray"


class Watch:
    """Looks at this process and all below it while its block runs; its own work is left out.

    Attributes:
        peak_mib: the most resident memory of one process of a kind; shared pages count for each.
    """

    def __init__(self, every_s: float) -> None:
        self.peak_mib: dict[str, float] = defaultdict(float)
        self._every_s = every_s
        self._kinds: dict[psutil.Process, str] = {}
        self._cpu_s: dict[psutil.Process, float] = {}
        self._seen: list[tuple[float, dict[psutil.Process, float]]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def used_s(self, since_s: float, until_s: float) -> dict[str, float]:
        """Processor seconds by kind between two times of `time.monotonic`, as far as looks lie between them.

        Returns:
            Seconds by kind, stretched from the looks' span to the whole one.
        """
        within = [look for look in self._seen if since_s <= look[0] <= until_s]
        assert len(within) > 1, f"{until_s - since_s:.0f} s are too short for looks every {self._every_s:g} s"
        (first_s, first), (last_s, last) = within[0], within[-1]
        stretch = (until_s - since_s) / (last_s - first_s)
        used: dict[str, float] = defaultdict(float)
        for (
            process,
            cpu_s,
        ) in last.items():  # by what each turned out to be: a worker is named after it started
            used[self._kinds[process]] += stretch * (cpu_s - first.get(process, 0.0))
        return used

    def _work(self) -> None:
        self._look()
        while not self._done.wait(self._every_s):
            self._look()
        self._look()

    def _look(self) -> None:
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            with suppress(psutil.NoSuchProcess), process.oneshot():
                kind = self._kinds.get(process, RAY)
                if kind == RAY:  # a worker gets its name when it gets its work
                    kind = self._kinds[process] = _kind_of(process)
                times = process.cpu_times()
                self._cpu_s[process] = times.user + times.system
                self.peak_mib[kind] = max(self.peak_mib[kind], process.memory_info().rss / 2**20)
        self._cpu_s[psutil.Process()] -= time.thread_time()
        self._seen.append((time.monotonic(), dict(self._cpu_s)))


def _kind_of(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    if process.pid == os.getpid():
        return DRIVER
    return ACTOR if line.startswith("ray::MapWorker") else DECODER if "decoding_child" in line else RAY
