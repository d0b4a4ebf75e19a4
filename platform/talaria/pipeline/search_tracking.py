"""Trials of searches in MLflow: written there when a search has ended, read for the warm start of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from talaria.pipeline.session import Session
from talaria.search.trials import TrialResult
from talaria.search.warm_start import EarlierTrial
from talaria.store.artifact import Artifact
from talaria.tracking.mlflow_tracker import TRIAL_TAG, RunRef, Tracker
from talaria.training.loop import METRICS


def track_trials(
    session: Session, artifact: Artifact, trials: Sequence[TrialResult], judged_on: str
) -> RunRef:
    """One run for every trial of the search, those of earlier ones left out; returns that of the best."""
    own = [trial for trial in trials if trial.own]
    runs = [_track_trial(session, artifact, trial, judged_on) for trial in own]
    return runs[0]


def earlier_trials(tracker: Tracker, filter_string: str) -> list[EarlierTrial]:
    """The trials that a filter finds, oldest first.

    Raises:
        ConfigError: the filter is invalid, or MLflow does not answer.
    """
    runs = tracker.find_trials(filter_string)
    found = [EarlierTrial.read(run.name, run.tags.get(TRIAL_TAG, "")) for run in runs]
    return [trial for trial in found if trial is not None]


def _track_trial(session: Session, artifact: Artifact, trial: TrialResult, judged_on: str) -> RunRef:
    folder, tracker = artifact.folder / "trials" / trial.name, session.tracker
    tags = {"talaria.pipeline": session.config.run.name, "talaria.folder": str(folder)}
    if trial.score is not None:
        target = f"{session.config.search.target}." if session.config.search else ""
        values = {path.removeprefix(target): value for path, value in trial.values.items()}
        tags[TRIAL_TAG] = EarlierTrial(judged_on, replace(trial, values=values)).text
    run = tracker.run(
        f"{folder}/{artifact.fingerprint}",
        f"{session.folder.name}/{trial.name}",
        "trial",
        parent=session.parent,
        tags=tags,
        params=trial.values,
    )
    tracker.sync_metrics(run, folder / METRICS)
    for epoch, score in enumerate(trial.scores):
        tracker.metrics(run, {"score": score}, step=epoch)
    tracker.metrics(run, {"gflop": trial.gflop})
    tracker.finish(run, "FAILED" if trial.status == "failed" else "FINISHED")
    return run
