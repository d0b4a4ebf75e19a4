"""What a person sees while a run goes on: one line per stage, progress with an estimate, quiet libraries."""

from __future__ import annotations

import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LOGGER = logging.getLogger("talaria")
console = Console(highlight=False, soft_wrap=True)
_LINE_EVERY_S = 10.0


def quiet_libraries() -> None:
    """Only our own lines and real errors reach the console."""
    warnings.filterwarnings("ignore")
    for name in ("ray", "ray.data", "ray.train", "ray.tune", "mlflow", "alembic", "optuna", "matplotlib", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


def setup_console() -> None:
    """One handler for the project's own messages; to be called once by a job."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    quiet_libraries()


class Step:
    """The progress of one long piece of work."""

    def __init__(self, board: Board, title: str, total: int) -> None:
        self._board = board
        self.title = title
        self.total = total
        self.done = 0
        self.began_s = time.monotonic()
        self.shown_s = self.began_s

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more units are done; `note` is shown beside the bar."""
        self.update(self.done + count, note)

    def update(self, done: int, note: str = "") -> None:
        """`done` units in all are done."""
        self.done = done
        self._board.show(self, note)


class Board:
    """All steps that run now: bars on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._tasks: dict[Step, object] = {}

    @contextmanager
    def step(self, title: str, total: int) -> Iterator[Step]:
        """Show progress while the block runs."""
        step = Step(self, title, total)
        self._open(step)
        try:
            yield step
        finally:
            self._close(step)

    def show(self, step: Step, note: str) -> None:
        """Bring the display of `step` up to date."""
        with self._lock:
            if self._progress is not None:
                self._progress.update(self._tasks[step], completed=step.done, note=note)  # type: ignore[arg-type]
                return
            now = time.monotonic()
            if now - step.shown_s >= _LINE_EVERY_S and step.done < step.total:
                step.shown_s = now
                LOGGER.info("  %s: %d/%d%s %s", step.title, step.done, step.total, _estimate(step, now), note)

    def _open(self, step: Step) -> None:
        with self._lock:
            if not console.is_terminal:
                self._tasks[step] = None
                return
            if self._progress is None:
                self._progress = Progress(
                    TextColumn("  {task.description}"), BarColumn(28), MofNCompleteColumn(),
                    TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
                    console=console, transient=True,
                )
                self._progress.start()
            self._tasks[step] = self._progress.add_task(step.title, total=step.total, note="")

    def _close(self, step: Step) -> None:
        with self._lock:
            task = self._tasks.pop(step)
            if self._progress is None:
                return
            self._progress.remove_task(task)  # type: ignore[arg-type]
            if not self._tasks:
                self._progress.stop()
                self._progress = None


def _estimate(step: Step, now: float) -> str:
    if step.done == 0:
        return ""
    left_s = (now - step.began_s) / step.done * (step.total - step.done)
    return f", about {duration_text(left_s)} left"


def duration_text(seconds: float) -> str:
    """`95` -> `1m35s`, for people."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


@contextmanager
def following(look: Callable[[], None], every_s: float = 0.5) -> Iterator[None]:
    """Call `look` now and then from a thread while the block runs, and once at its end."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(every_s):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        look()


BOARD = Board()
