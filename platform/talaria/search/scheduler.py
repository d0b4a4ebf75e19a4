"""Which trials go on: ASHA, told of all epochs of the trials that ended. Imports Ray Tune."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from talaria.search.plan import SearchPlan
from talaria.search.trial import NUMBER
from talaria.search.trials import TrialFolder, TrialResult, ended_trials


class AskingScheduler(ASHAScheduler):  # type: ignore[misc]
    """ASHA that asks a trial to stop instead of having its process killed.

    A killed process leaves its Ray Train workers' placement group behind, which keeps their CPUs for ever.
    """

    def __init__(self, folder: str, **options: Any) -> None:
        """Like ASHA.

        Args:
            folder: of the search; trials find there that they are asked to stop.
            options: of ASHA.
        """
        super().__init__(**options)
        self._folder = folder

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """ASHA's decision; one to stop is left to the trial."""
        folder = TrialFolder(self._folder, int(trial.config[NUMBER]))
        if folder.stop_epoch is None:
            decision = super().on_trial_result(tune_controller, trial, result)
            if decision == TrialScheduler.STOP:
                folder.ask_to_stop(int(result["epoch"]))
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """An epoch after the one that the trial was stopped at counts nowhere."""
        if TrialFolder(self._folder, int(trial.config[NUMBER])).stop_epoch is None:
            super().on_trial_complete(tune_controller, trial, result)
        else:
            self.on_trial_remove(tune_controller, trial)


def scheduler(plan: SearchPlan) -> ASHAScheduler:
    """The scheduler of a search that may have been at work before."""
    section = plan.section
    options = {
        "metric": "score",
        "mode": "max",
        "time_attr": "epoch",
        "max_t": section.epochs,
        "grace_period": min(section.grace_epochs, section.epochs),
        "reduction_factor": section.reduction_factor,
    }
    several = section.workers_per_trial > 1
    made = AskingScheduler(plan.folder, **options) if several else ASHAScheduler(**options)
    for result in ended_trials(plan.folder):
        _repeat(made, result)
    return made


def _repeat(made: ASHAScheduler, result: TrialResult) -> None:
    """Tell of a trial that ended; whatever is decided of it was decided before."""
    trial = SimpleNamespace(trial_id=result.name)
    made.on_trial_add(None, trial)
    reports = [{"epoch": epoch + 1, "score": score} for epoch, score in enumerate(result.scores)]
    for report in reports:
        ASHAScheduler.on_trial_result(made, None, trial, report)
    if result.status == "failed":
        made.on_trial_remove(None, trial)
    else:
        ASHAScheduler.on_trial_complete(made, None, trial, reports[-1])
