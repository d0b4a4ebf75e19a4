"""The outer search: Ray Tune retrains one node with settings that Optuna draws; ASHA stops poor trials.

Trials are counted from their folders: a killed search goes on with the first that has no result, and ends
with what an undisturbed one ends with (one trial at a time).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from talaria.errors import StageError
from talaria.search.plan import SearchPlan
from talaria.search.trial import run_trial
from talaria.search.trials import TrialResult, ended_trials
from talaria.search.warm_start import WarmStart

_TUNE = "tune"
_FAILURES = 2


def search(plan: SearchPlan, max_concurrent: int, warm_start: WarmStart) -> list[TrialResult]:
    """Run the trials that have no result yet.

    Args:
        plan: what is searched.
        max_concurrent: trials at a time, no more than the cluster holds.
        warm_start: what earlier searches found.

    Returns:
        All trials of the search and the finished ones of `warm_start`, in no special order.
    """
    folder = Path(plan.folder)
    missing = plan.section.num_trials - len(ended_trials(folder))
    if missing > 0:
        _run(plan, missing, max_concurrent, warm_start)
    ended = ended_trials(folder)
    if len(ended) < plan.section.num_trials:
        raise StageError(f"search: Ray Tune ended after {len(ended)} of {plan.section.num_trials} trials")
    return [*ended, *warm_start.finished]


def _run(plan: SearchPlan, num_trials: int, max_concurrent: int, warm_start: WarmStart) -> None:
    # With its own handler Tune takes Ctrl-C for the end of the search.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"  # a trial that fails at once has no score
    from ray import tune
    from talaria.search.scheduler import scheduler
    from talaria.search.searcher import StudySearch

    folder = Path(plan.folder)
    shutil.rmtree(folder / _TUNE, ignore_errors=True)
    trainable = tune.with_resources(tune.with_parameters(run_trial, plan=plan), _resources(plan))
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=StudySearch(plan.section, plan.seed, folder, warm_start),
            scheduler=scheduler(plan),
            num_samples=num_trials,
            max_concurrent_trials=max_concurrent,
        ),
        run_config=tune.RunConfig(
            name=_TUNE,
            storage_path=str(folder),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=_FAILURES),
        ),
    )
    tuner.fit()
    shutil.rmtree(folder / _TUNE, ignore_errors=True)


def _resources(plan: SearchPlan) -> dict[str, float]:
    """Of a trial's own process; with several workers it only waits for these, which Ray Train places."""
    if plan.section.workers_per_trial > 1:
        return {"CPU": 0, "memory": 1e6}  # Tune refuses nothing at all
    return {"CPU": plan.cpus, **({"GPU": plan.gpus} if plan.gpus else {})}
