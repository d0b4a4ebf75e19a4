"""What a person sees while a run goes on: one line per stage, progress with an estimate, quiet libraries."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task, TaskID
from rich.table import Column
from rich.text import Text

LOGGER = logging.getLogger("talaria")
console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
_LINE_EVERY_S = 10.0
_EARLIER_S = 1.0
"""Units that come within this time of a step's beginning were done in an earlier run; they tell no speed."""
_BAR_WIDTH = 20
_LOUD = ("ray", "ray.data", "ray.train", "ray.tune", "mlflow", "alembic", "optuna", "matplotlib", "urllib3")


def quiet_libraries() -> None:
    """Only our own lines and real errors reach the console."""
    warnings.filterwarnings("ignore")
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)


class _ConsoleHandler(logging.Handler):
    """Lines through the console that also draws the bars, so that neither breaks the other."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            console.print(self.format(record))
        except Exception:
            self.handleError(record)


def setup_console() -> None:
    """One handler for the project's own messages; to be called once by a job."""
    LOGGER.handlers[:] = [_ConsoleHandler()]
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
        self._began_s = time.monotonic()
        self._earlier = 0

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more units are done; `note` is shown beside the bar."""
        self.update(self.done + count, note)

    def resize(self, done: int, total: int) -> None:
        """`done` of now `total` units are done."""
        self.total = total
        self.update(done)

    def update(self, done: int, note: str = "") -> None:
        """`done` units in all are done."""
        self.done = done
        if self.elapsed_s() < _EARLIER_S:
            self._earlier = done
        self._board.show(self, note)

    def elapsed_s(self) -> float:
        """Time since the step began."""
        return time.monotonic() - self._began_s

    def left_s(self) -> float | None:
        """Time that the rest takes at the speed so far; None while no speed is known."""
        fresh = self.done - self._earlier
        if fresh <= 0:
            return None
        return self.elapsed_s() / fresh * max(self.total - self.done, 0)


class Board:
    """All steps that run now: bars on a terminal, a line now and then elsewhere."""

    def __init__(self, screen: Console = console) -> None:
        self._screen = screen
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._bars: dict[Step, TaskID] = {}
        self._shown_s: dict[Step, float] = {}

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
                self._progress.update(self._bars[step], completed=step.done, total=step.total, note=note)
                return
            elapsed_s = step.elapsed_s()
            if elapsed_s - self._shown_s[step] >= _LINE_EVERY_S and step.done < step.total:
                self._shown_s[step] = elapsed_s
                LOGGER.info("  %s: %s", step.title, _state(step, note))

    def _open(self, step: Step) -> None:
        with self._lock:
            if not self._screen.is_terminal or self._screen.is_dumb_terminal:
                self._shown_s[step] = 0.0
                return
            if self._progress is None:
                self._progress = _bars(self._screen)
                self._progress.start()
            self._bars[step] = self._progress.add_task(step.title, total=step.total, note="", step=step)

    def _close(self, step: Step) -> None:
        with self._lock:
            if self._progress is None:
                del self._shown_s[step]
                return
            self._progress.remove_task(self._bars.pop(step))
            if not self._bars:
                self._progress.stop()
                self._progress = None


class _StepColumn(ProgressColumn):
    """A step as one line; where the terminal is too narrow its end is cut, so that nothing wraps."""

    def render(self, task: Task) -> Text:
        step: Step = task.fields["step"]
        filled = int(_BAR_WIDTH * step.done / step.total) if step.total else _BAR_WIDTH
        bar = Text("━" * filled, "bar.complete").append("─" * (_BAR_WIDTH - filled), "bar.back")
        return Text.assemble(f"  {step.title:<22} ", bar, f" {_state(step, task.fields['note'])}")


def _bars(screen: Console) -> Progress:
    column = _StepColumn(table_column=Column(no_wrap=True, overflow="ellipsis"))
    return Progress(column, console=screen, transient=True, refresh_per_second=4)


def _state(step: Step, note: str) -> str:
    """Progress in words: `3/40, 12s, about 2m28s left, note`."""
    left_s = step.left_s()
    estimate = [f"about {duration_text(left_s)} left"] if left_s is not None else []
    return ", ".join(
        [f"{step.done}/{step.total}", duration_text(step.elapsed_s()), *estimate, *([note] if note else [])]
    )


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
