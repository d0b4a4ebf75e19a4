"""The outer search: Ray Tune with Optuna retrains one detector with other settings, stopping poor trials.

A trial trains inside its own process and reports every epoch. It learns from a part of the training videos
and is judged on the rest, so that the validation videos stay unseen for fusion.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from talaria.config.nodes import DetectorNode
from talaria.config.schema import Distribution, SearchSection
from talaria.config.space import with_values
from talaria.errors import StageError
from talaria.evaluation.arrays import GroundTruth
from talaria.prediction.judge import judged_videos
from talaria.seeds import content_seed
from talaria.store.feature_store import FeatureStore
from talaria.training.job import LabelledVideo, SnippetSource, TrainJob
from talaria.training.loop import Load, Save, train

METRIC = "proposal_average_map"
_EXPERIMENT = "tune"
_SNAPSHOT_EVERY_S = "2"


@dataclass(frozen=True)
class SearchPlan:
    """Everything a trial needs besides its own values.

    Attributes:
        node: the detector's node, whose settings are searched.
        source: features of all training videos.
        sizes: what the data decides about the detector.
        folder: absolute folder of the search; trials keep their metrics in it.
        cpus: CPUs of one trial; `gpus` likewise.
    """

    section: SearchSection
    node: DetectorNode
    source: SnippetSource
    sizes: dict[str, int]
    folder: str
    seed: int
    cpus: float
    gpus: float


@dataclass(frozen=True)
class TrialResult:
    """One trial as it ended: `score` is its last value of METRIC."""

    name: str
    values: dict[str, Any]
    score: float
    epochs: int
    folder: str


def search(plan: SearchPlan) -> list[TrialResult]:
    """Run or resume the search; a killed one goes on from its last snapshot.

    Returns:
        All trials, the best first.

    Raises:
        StageError: no trial finished.
    """
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = _SNAPSHOT_EVERY_S
    import optuna

    from ray import tune

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # Optuna sets its own level when it is imported

    resources = {"CPU": plan.cpus, **({"GPU": plan.gpus} if plan.gpus else {})}
    trainable = tune.with_resources(tune.with_parameters(_trial, plan=plan), resources)
    address = str(Path(plan.folder) / _EXPERIMENT)
    if tune.Tuner.can_restore(address):
        tuner = tune.Tuner.restore(address, trainable=trainable, resume_errored=True)
    else:
        tuner = _new_tuner(plan, trainable)
    results = tuner.fit()
    trials = [_result(result, plan) for result in results if result.metrics and METRIC in result.metrics]
    if not trials:
        raise StageError(f"search: none of {len(results)} trials finished; first error: {results.errors[:1]}")
    return sorted(trials, key=_rank)


def _rank(trial: TrialResult) -> tuple[float, str]:
    """The better score first; equal ones by their values, as Tune draws names at random."""
    return -trial.score, json.dumps(trial.values, sort_keys=True)


def split_videos(
    videos: tuple[LabelledVideo, ...], holdout_frac: float
) -> tuple[tuple[LabelledVideo, ...], ...]:
    """Training videos and held-out ones, chosen by their ids alone; both have at least one.

    Raises:
        StageError: fewer than two videos.
    """
    if len(videos) < 2:
        raise StageError(f"search: {len(videos)} training videos; expected at least 2 to hold one out")
    order = sorted(videos, key=lambda video: content_seed("holdout", video.video_id))
    count = min(max(1, round(holdout_frac * len(order))), len(order) - 1)
    held = {video.video_id for video in order[:count]}
    return (
        tuple(video for video in videos if video.video_id not in held),
        tuple(video for video in videos if video.video_id in held),
    )


class TrialContext:
    """A trial's process: one worker that is judged on held-out videos after every epoch."""

    def __init__(self, judge: Callable[[nn.Module], dict[str, float]]) -> None:
        self.rank = 0
        self.world_size = 1
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._judge = judge

    def restore(self, load: Load) -> int:
        """Go on from the trial's last checkpoint."""
        from ray import tune

        checkpoint = tune.get_checkpoint()
        if checkpoint is None:
            return 0
        with checkpoint.as_directory() as folder:
            return load(Path(folder))

    def report(self, epoch: int, metrics: dict[str, float], model: nn.Module, save: Save) -> None:
        """Judge, then tell the scheduler, which may end the trial here."""
        from ray import tune

        scores = self._judge(model)
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            checkpoint = tune.Checkpoint.from_directory(folder)
            tune.report({"epoch": epoch + 1, **metrics, **scores}, checkpoint=checkpoint)


def _trial(values: Mapping[str, Any], plan: SearchPlan) -> None:
    from ray import tune

    torch.set_num_threads(max(1, int(plan.cpus)))
    name = trial_name(tune.get_context().get_trial_id())
    node = with_values(plan.node, values)
    learn, held = split_videos(plan.source.videos, plan.section.holdout_frac)
    source = replace(plan.source, videos=learn, num_bins=node.model.num_snippets)
    job = TrainJob(
        name=name,
        model=node.model,
        sizes=plan.sizes,
        optim=node.optim.model_copy(update={"epochs": plan.section.epochs}),
        source=source,
        seed=plan.seed,
        out=str(Path(plan.folder) / "trials" / name),
        card={},
    )
    judged = judged_videos(FeatureStore(Path(source.folder)), class_agnostic(held), node.model.num_snippets)
    train(job, TrialContext(lambda model: {METRIC: judged.score(model)}))


def class_agnostic(videos: tuple[LabelledVideo, ...]) -> GroundTruth:
    """The truth of some videos with one label for everything: what proposals are judged by."""
    notes = [(index, note) for index, video in enumerate(videos) for note in video.annotations]
    return GroundTruth(
        tuple(video.video_id for video in videos),
        ("action",),
        np.array([index for index, _ in notes], np.int64),
        np.zeros(len(notes), np.int64),
        np.array([note.start_s for _, note in notes], np.float64),
        np.array([note.end_s for _, note in notes], np.float64),
    )


def trial_name(trial_id: str) -> str:
    """`a1b2c_00003` -> `trial_00003`: the same in a repeated search."""
    return f"trial_{trial_id.rsplit('_', 1)[-1]}"


def _new_tuner(plan: SearchPlan, trainable: Any) -> Any:
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    from ray import tune

    section = plan.section
    searcher = OptunaSearch(metric=METRIC, mode="max", seed=plan.seed % 2**31)
    scheduler = ASHAScheduler(
        time_attr="epoch",
        max_t=section.epochs,
        grace_period=min(section.grace_epochs, section.epochs),
        reduction_factor=section.reduction_factor,
    )
    return tune.Tuner(
        trainable,
        param_space={path: _domain(tune, distribution) for path, distribution in section.space.items()},
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="max",
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=section.num_trials,
            max_concurrent_trials=section.max_concurrent,
        ),
        run_config=tune.RunConfig(
            name=_EXPERIMENT,
            storage_path=plan.folder,
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
        ),
    )


def _domain(tune: Any, distribution: Distribution) -> Any:
    if distribution.type == "choice":
        return tune.choice(list(distribution.choices))
    low, high = distribution.low, distribution.high
    if distribution.type == "int":
        return tune.randint(int(low or 0), int(high or 0) + 1)
    return tune.loguniform(low, high) if distribution.type == "log_uniform" else tune.uniform(low, high)


def _result(result: Any, plan: SearchPlan) -> TrialResult:
    name = trial_name(str(result.metrics["trial_id"]))
    return TrialResult(
        name=name,
        values=dict(result.config),
        score=float(result.metrics[METRIC]),
        epochs=int(result.metrics["epoch"]),
        folder=str(Path(plan.folder) / "trials" / name),
    )
