"""Trials logged from several processes at once into one SQLite file."""

from __future__ import annotations

import logging
import multiprocessing
from pathlib import Path

import pytest

from talaria.tracking.mlflow_tracker import RunRef, Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

WORKERS, TRIALS, STEPS = 4, 200, 3


def log_trials(uri: str, folder: str, parent: RunRef, numbers: list[int]) -> tuple[list[str], int]:
    """In a process of its own; returns what a user would have been told, and how much was not sent."""
    said: list[str] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logging.getLogger("talaria").addHandler(Heard())
    tracker = Tracker(uri, "trials", Path(folder))
    for number in numbers:
        run = tracker.run(f"trial-{number}", f"trial-{number}", "trial", parent, params={"lr": number})
        for step in range(STEPS):
            tracker.metrics(run, {"loss": number / (step + 1)}, step=step)
        tracker.finish(run)
    return said, tracker.unsent


def test_200_trials_of_several_processes_are_all_there_and_nobody_hears_of_locks(tmp_path: Path) -> None:
    uri, folder = f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts"
    tracker = Tracker(uri, "trials", folder)
    parent = tracker.run("search", "search", "pipeline")
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        work = [(uri, str(folder), parent, list(range(worker, TRIALS, WORKERS))) for worker in range(WORKERS)]
        ended = pool.starmap(log_trials, work)
    assert ended == [([], 0)] * WORKERS
    trials = tracker.find_members("tags.talaria.kind = 'trial'")
    assert sorted(int(trial.params["lr"]) for trial in trials) == list(range(TRIALS))
    assert all(trial.tags["mlflow.parentRunId"] == parent.run_id for trial in trials)
    assert all(trial.metrics == {"loss": int(trial.params["lr"]) / STEPS} for trial in trials)


def test_processes_that_make_the_same_new_file_do_not_break_each_other(tmp_path: Path) -> None:
    uri, folder = f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts"
    nobody = RunRef("0" * 32, "nobody", "nobody")
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        ended = pool.starmap(log_trials, [(uri, str(folder), nobody, [number]) for number in range(3)])
    assert ended == [([], 0)] * 3
    assert len(Tracker(uri, "trials", folder).find_members("tags.talaria.kind = 'trial'")) == 3
