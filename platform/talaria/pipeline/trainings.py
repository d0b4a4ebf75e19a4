"""Trainings of one stage, side by side: what is finished is skipped, every epoch goes to MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talaria.config.fingerprint import plain
from talaria.log import BOARD
from talaria.pipeline.session import Session
from talaria.store.artifact import Artifact
from talaria.training.job import TrainJob
from talaria.training.loop import METRICS
from talaria.training.trainer import fit


@dataclass(frozen=True)
class Training:
    """A training and the folder that it fills; `params` are what MLflow shows of it."""

    artifact: Artifact
    job: TrainJob
    params: Mapping[str, Any]


def run_trainings(session: Session, stage: str, trainings: Sequence[Training]) -> None:
    """Run those that are not finished, as many at a time as the recipe allows.

    Raises:
        StageError: a training failed; the others that were running are finished first.
    """
    missing = [training for training in trainings if not training.artifact.finished()]
    if trainings and not missing:
        session.skipped(stage, ", ".join(training.artifact.folder.name for training in trainings))
        return
    if not missing:
        return
    names = ", ".join(training.artifact.folder.name for training in missing)
    with session.stage(stage, names):
        _ = session.capacity, session.parent  # opened here, not by several threads at once
        with ThreadPoolExecutor(session.config.resources.parallel_trainings) as pool:
            running = [pool.submit(_run, session, stage, training) for training in missing]
        for future in running:
            future.result()


def _run(session: Session, stage: str, training: Training) -> None:
    artifact, job = training.artifact, training.job
    artifact.begin()
    run = session.child(artifact, stage, {**training.params, "seed": job.seed}, {"talaria.model": job.model.name})
    with BOARD.step(f"{stage} {artifact.folder.name}", job.optim.epochs) as step:

        def on_epoch(metrics: dict[str, float]) -> None:
            step.update(int(metrics["step"]) + 1, f"loss {metrics['loss_total']:.4f}")

        fit(job, session.config.resources, session.capacity, on_epoch)
    metrics_path = Path(job.out) / METRICS
    session.tracker.sync_metrics(run, metrics_path)
    artifact.commit(model=plain(job.model), sizes=job.sizes, run_id=run.run_id)
    session.tracker.artifact(run, artifact.folder / "model.json", "model")
    session.tracker.artifact(run, artifact.folder / "model.safetensors", "model")
    session.tracker.finish(run, "FINISHED")
