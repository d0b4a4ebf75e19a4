"""Trials on disk: what was drawn, where a trial is, how it ended. A search is counted from these files.

trials/trial_00003/
    values.json     what was drawn, written before the trial begins
    state/          its last checkpoint with all its reports, while it is at work
    stop.json       after which epoch it is asked to stop, where a trial stops by itself
    failure.json    why it failed
    result.json     how it ended, written last
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from talaria.config.fingerprint import plain
from talaria.store.files import read_json, write_folder, write_json

Report = dict[str, float]
"""What a trial says of an epoch: `epoch` (counted from 1), `score`, `cost`, losses."""
_TRIALS, _VALUES, _STATE, _REPORTS = "trials", "values.json", "state", "reports.json"
_STOP, _FAILURE, _RESULT = "stop.json", "failure.json", "result.json"


@dataclass(frozen=True)
class TrialResult:
    """One trial as it ended.

    Attributes:
        name: `trial_00003`; of one that an earlier search made its name in MLflow.
        values: what was drawn, by paths of the recipe.
        status: `stopped` by the scheduler before its last epoch.
        scores: after each epoch; the last one counts.
        gflop: of one video; None where the trial failed before it was known.
        reason: why it failed.
        own: whether this search made it, not an earlier one.
    """

    name: str
    values: dict[str, Any]
    status: Literal["finished", "stopped", "failed"]
    scores: tuple[float, ...]
    gflop: float | None = None
    reason: str = ""
    own: bool = True

    @classmethod
    def of_json(cls, fields: dict[str, Any]) -> TrialResult:
        """From the plain form of one."""
        return cls(**{**fields, "scores": tuple(fields["scores"])})

    @property
    def epochs(self) -> int:
        """Epochs that were trained."""
        return len(self.scores)

    @property
    def score(self) -> float | None:
        """The score after its last epoch; None for a failed trial."""
        return self.scores[-1] if self.scores and self.status != "failed" else None


class TrialFolder:
    """The files of one trial; the driver and the trial's processes share them."""

    def __init__(self, search: Path | str, number: int) -> None:
        """Nothing is touched.

        Args:
            search: folder of the search.
            number: of the trial, from 0.
        """
        self.number = number
        self.path = Path(search) / _TRIALS / f"trial_{number:05d}"

    @property
    def begun(self) -> bool:
        """Whether its values are drawn."""
        return (self.path / _VALUES).is_file()

    @property
    def values(self) -> dict[str, Any]:
        """What was drawn for it."""
        values: dict[str, Any] = read_json(self.path / _VALUES)
        return values

    def begin(self, values: dict[str, Any]) -> None:
        """Keep what was drawn."""
        if not self.begun:
            write_json(self.path / _VALUES, values)

    def keep(self, reports: list[Report], save: Callable[[Path], None]) -> None:
        """Keep a checkpoint with all reports up to it, and none before."""
        path = self.path / _STATE / f"epoch_{len(reports):05d}"

        def fill(folder: Path) -> None:
            save(folder)
            write_json(folder / _REPORTS, reports)

        if not path.is_dir():
            write_folder(path, fill)
        for older in path.parent.glob("epoch_*"):
            if older.name < path.name:
                shutil.rmtree(older, ignore_errors=True)

    def checkpoint(self) -> tuple[Path | None, list[Report]]:
        """The last checkpoint's folder and the reports up to it; None where there is none."""
        found = sorted((self.path / _STATE).glob("epoch_*"))
        return (found[-1], read_json(found[-1] / _REPORTS)) if found else (None, [])

    @property
    def stop_epoch(self) -> int | None:
        """The epoch after which it is asked to stop; None while it is not."""
        path = self.path / _STOP
        return int(read_json(path)["epoch"]) if path.is_file() else None

    def ask_to_stop(self, epoch: int) -> None:
        """Ask it to stop; what it reports of later epochs does not count."""
        write_json(self.path / _STOP, {"epoch": epoch})

    def fail(self, reason: str | None) -> None:
        """Keep why it failed, unless it has ended before; None says that it has not failed."""
        if reason is None:
            (self.path / _FAILURE).unlink(missing_ok=True)
        elif self.result() is None:
            write_json(self.path / _FAILURE, {"reason": reason})

    def end(self, num_epochs: int, wanted_epochs: int, *, died: bool) -> TrialResult:
        """Keep how it ended, and no state.

        Args:
            num_epochs: that it had when it was ended; later reports do not count.
            wanted_epochs: that it would have had.
            died: whether its process ended with an error.
        """
        stop_epoch = self.stop_epoch
        counted = num_epochs if stop_epoch is None else min(num_epochs, stop_epoch)
        reports = self.checkpoint()[1][:counted]
        failed = died or (self.path / _FAILURE).is_file()
        result = TrialResult(
            name=self.path.name,
            values=self.values,
            status="failed" if failed else "stopped" if len(reports) < wanted_epochs else "finished",
            scores=tuple(report["score"] for report in reports),
            gflop=reports[0]["cost"] if reports else None,
            reason=self._reason() if failed else "",
        )
        write_json(self.path / _RESULT, plain(result))
        shutil.rmtree(self.path / _STATE, ignore_errors=True)
        (self.path / _STOP).unlink(missing_ok=True)
        return result

    def result(self) -> TrialResult | None:
        """How it ended; None while it has not."""
        path = self.path / _RESULT
        if not path.is_file():
            return None
        return TrialResult.of_json(read_json(path))

    def _reason(self) -> str:
        path = self.path / _FAILURE
        return str(read_json(path)["reason"]) if path.is_file() else "its process died"


def begun_trials(search: Path | str) -> list[TrialFolder]:
    """The trials whose values are drawn, in the order of their numbers, which have no gaps."""
    folders: list[TrialFolder] = []
    while (folder := TrialFolder(search, len(folders))).begun:
        folders.append(folder)
    return folders


def ended_trials(search: Path | str) -> list[TrialResult]:
    """The results of the trials that ended, in the order of their numbers."""
    results = [folder.result() for folder in begun_trials(search)]
    return [result for result in results if result is not None]
