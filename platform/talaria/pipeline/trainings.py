"""Trainings of one stage, side by side: what is finished is skipped, every epoch goes to MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from talaria.log import BOARD
from talaria.pipeline.session import Session
from talaria.store.artifact import Artifact
from talaria.store.checkpoint import CARD, WEIGHTS
from talaria.tracking.mlflow_tracker import RunRef
from talaria.training.job import TrainJob
from talaria.training.loop import METRICS
from talaria.training.trainer import fit


@dataclass(frozen=True)
class Training:
    """A training and the folder that it fills; `params` are what MLflow shows of it."""

    artifact: Artifact
    job: TrainJob
    params: Mapping[str, Any]

    def run(self, session: Session, stage: str) -> RunRef:
        """The training's MLflow run."""
        tags = {"talaria.model": self.job.model.name}
        return session.child(self.artifact, stage, {**self.params, "seed": self.job.seed}, tags)


def run_trainings(session: Session, stage: str, trainings: Sequence[Training]) -> None:
    """Run those that are not finished, as many at a time as the recipe allows.

    Raises:
        StageError: a training failed; the others that were running are finished first.
    """
    missing = [training for training in trainings if not training.artifact.finished()]
    names = ", ".join(training.artifact.folder.name for training in missing or trainings)
    if missing:
        with session.stage(stage, names):
            _ = session.capacity  # opened here, not by several threads at once
            with ThreadPoolExecutor(session.config.resources.parallel_trainings) as pool:
                running = [pool.submit(_run, session, stage, training) for training in missing]
            for future in running:
                future.result()
    elif trainings:
        session.skipped(stage, names)
    for training in trainings:
        session.track_once(training.artifact, partial(_track, session, stage, training))


def _run(session: Session, stage: str, training: Training) -> None:
    artifact, job = training.artifact, training.job
    artifact.begin()
    with BOARD.step(f"{stage} {artifact.folder.name}", job.optim.epochs) as step:

        def on_epoch(metrics: dict[str, float]) -> None:
            step.update(int(metrics["step"]) + 1, f"loss {metrics['loss_total']:.4f}")

        fit(job, session.config.resources, session.capacity, on_epoch)
    artifact.commit(model=job.model, sizes=job.sizes)


def _track(session: Session, stage: str, training: Training) -> RunRef:
    run, folder = training.run(session, stage), training.artifact.folder
    session.tracker.sync_metrics(run, folder / METRICS)
    for name in (CARD, WEIGHTS):
        session.tracker.artifact(run, folder / name, "model")
    session.tracker.finish(run)
    return run
