"""One of several processes that log trials through Tracker; started by tests."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

STEPS = 4


@dataclass(frozen=True)
class Writing:
    """What one process logs.

    Attributes:
        folder: gets a file for each run that was gone through; its `note.txt` is logged as an artifact.
        patience: first and total wait and rest, in seconds.
    """

    uri: str
    experiment: str
    worker: int
    num_runs: int
    folder: Path
    patience: tuple[float, float, float]


@dataclass(frozen=True)
class Written:
    """What a process has to say: its warnings, and calls that MLflow knows nothing of."""

    warnings: tuple[str, ...]
    unsent: int


def write(writing: Writing) -> Written:
    """Log every run with parameters, metrics of some steps and an artifact; safe to repeat."""
    from talaria.tracking.mlflow_tracker import Tracker
    from talaria.tracking.patience import Patience

    heard = _Heard()
    logging.getLogger("talaria").addHandler(heard)
    tracker = Tracker(
        writing.uri, writing.experiment, writing.folder / "artifacts", Patience(*writing.patience)
    )
    for number in range(writing.num_runs):
        key = f"trial-{writing.worker}-{number}"
        run = tracker.run(key, key, "trial", params={"worker": writing.worker, "number": number})
        for step in range(STEPS):
            tracker.metrics(run, {"loss": math.exp(-step), "score": number + step / STEPS}, step=step)
        tracker.artifact(run, writing.folder / "note.txt")
        tracker.finish(run)
        (writing.folder / f"{key}.done").touch()
    logging.getLogger("talaria").removeHandler(heard)
    return Written(tuple(heard.warnings), tracker.unsent)


class _Heard(logging.Handler):
    """Keeps warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.warnings.append(record.getMessage())
