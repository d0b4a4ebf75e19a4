"""Stages on stored features: the outer search, classifiers, detectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talaria.cluster.connect import Capacity
from talaria.config.fingerprint import fingerprint, plain
from talaria.config.nodes import DetectorNode
from talaria.config.space import with_values
from talaria.log import BOARD, following
from talaria.pipeline.graph import HeadNode, classifier_heads, detector_heads
from talaria.pipeline.session import Session
from talaria.pipeline.trainings import Training, run_trainings
from talaria.pipeline.videos import labelled_videos
from talaria.records import Dataset
from talaria.search.outer import METRIC, SearchPlan, TrialResult, search
from talaria.seeds import content_seed
from talaria.store.artifact import Artifact
from talaria.store.feature_store import FeatureStore
from talaria.store.files import read_json, write_json
from talaria.store.ledger import Ledger
from talaria.tracking.mlflow_tracker import RunRef
from talaria.training.job import LabelledVideo, SnippetSource, TrainJob
from talaria.training.loop import METRICS

_BEST = "best.json"


@dataclass(frozen=True)
class TrainedHeads:
    """What was trained.

    Attributes:
        classifiers: each classifier by its name.
        detectors: each detector by its name.
    """

    classifiers: dict[str, Training]
    detectors: dict[str, Training]


def search_missing(
    session: Session, dataset: Dataset, stores: dict[str, FeatureStore]
) -> dict[str, DetectorNode]:
    """Stage `search`: every detector's node, with the best values found where the search sets them."""
    config = session.config
    nodes = dict(config.detectors)
    if config.search is None:
        return nodes
    section, store = config.search, stores[config.search.features]
    node = config.detectors[section.detector]
    videos = _training_videos(session, dataset, store)
    seed = content_seed(config.run.seed, "search")
    fields = {
        "search": section.model_dump(exclude={"apply_to"}),
        "detector": node,
        "features": store.contract.fingerprint,
        "videos": fingerprint(videos),
        "seed": seed,
    }
    artifact = session.artifact("search", section.detector, "1", fields)
    if artifact.finished():
        session.skipped("search", f"{section.num_trials} trials")
    else:
        with session.stage(
            "search", f"{section.num_trials} trials of {section.detector} on {section.features}"
        ):
            capacity = session.capacity
            artifact.begin()
            plan = SearchPlan(
                section=section,
                node=node,
                source=SnippetSource(str(store.folder), videos, node.model.num_snippets, dataset.classes),
                sizes={"in_channels": store.contract.feature_dim},
                folder=str(artifact.folder),
                seed=seed,
                cpus=1.0 if capacity.gpu else _trial_cpus(capacity, section.max_concurrent),
                gpus=config.resources.gpus_per_worker if capacity.gpu else 0.0,
            )
            with (
                BOARD.step("search", section.num_trials) as step,
                following(lambda: step.update(len(list(artifact.folder.glob(f"trials/*/{METRICS}"))))),
            ):
                trials = search(plan)
            write_json(artifact.folder / _BEST, [plain(trial) for trial in trials])
            artifact.commit(best=trials[0], trials=len(trials))
    session.track_once(artifact, lambda: _track_trials(session, artifact))
    best: dict[str, Any] = read_json(artifact.folder / _BEST)[0]["values"]
    for name in section.apply_to or (section.detector,):
        nodes[name] = with_values(nodes[name], best)
    return nodes


def _trial_cpus(capacity: Capacity, max_concurrent: int) -> float:
    """CPUs of one trial, which one node must hold: no more than the mean node has, so some node does."""
    return max(1.0, capacity.cpus // (capacity.nodes * max_concurrent))


def train_missing(
    session: Session, dataset: Dataset, stores: dict[str, FeatureStore], nodes: dict[str, DetectorNode]
) -> TrainedHeads:
    """Stage `train`: every classifier and every detector that is not there yet."""
    classifiers = {
        head.name: _classifier(session, dataset, stores, head) for head in classifier_heads(session.config)
    }
    detectors = {
        head.name: _detector(session, dataset, stores, head, nodes[head.node_name])
        for head in detector_heads(session.config)
    }
    run_trainings(session, "train", [*detectors.values(), *classifiers.values()])
    return TrainedHeads(classifiers, detectors)


def _detector(
    session: Session, dataset: Dataset, stores: dict[str, FeatureStore], head: HeadNode, node: DetectorNode
) -> Training:
    store = stores[head.backbone]
    source = SnippetSource(
        str(store.folder), _training_videos(session, dataset, store), node.model.num_snippets, dataset.classes
    )
    return _training(session, head, node, source, {"in_channels": store.contract.feature_dim})


def _classifier(
    session: Session, dataset: Dataset, stores: dict[str, FeatureStore], head: HeadNode
) -> Training:
    store, node = stores[head.backbone], session.config.classifiers[head.node_name]
    source = SnippetSource(
        str(store.folder), _training_videos(session, dataset, store), node.num_bins, dataset.classes
    )
    sizes = {"in_channels": store.contract.feature_dim, "num_classes": len(dataset.classes)}
    return _training(session, head, node, source, sizes)


def _training(
    session: Session, head: HeadNode, node: Any, source: SnippetSource, sizes: dict[str, int]
) -> Training:
    contract = FeatureStore(Path(source.folder)).contract
    seed = content_seed(session.config.run.seed, "train", head.name)
    fields = {
        "model": node.model,
        "optim": node.optim,
        "num_bins": source.num_bins,
        "features": contract.fingerprint,
        "videos": fingerprint(source.videos),
        "classes": source.classes,
        "seed": seed,
    }
    artifact = session.artifact("train", head.name, "1", fields)
    job = TrainJob(
        name=head.name,
        model=node.model,
        sizes=sizes,
        optim=node.optim,
        source=source,
        seed=seed,
        out=str(artifact.folder),
        card={"classes": source.classes, "contract": plain(contract), "num_bins": source.num_bins},
    )
    return Training(artifact, job, {"model": node.model, "optim": node.optim, "features": head.backbone})


def _training_videos(session: Session, dataset: Dataset, store: FeatureStore) -> tuple[LabelledVideo, ...]:
    data = session.config.data
    ledger = Ledger(store.folder)
    return labelled_videos(dataset.subset(data.train_subset), ledger, data.length_tolerance_frac)


def _track_trials(session: Session, artifact: Artifact) -> RunRef:
    """One MLflow run for every trial; returns that of the best."""
    trials = [TrialResult(**fields) for fields in read_json(artifact.folder / _BEST)]
    runs = [_track_trial(session, artifact, trial) for trial in trials]
    return runs[0]


def _track_trial(session: Session, artifact: Artifact, trial: TrialResult) -> RunRef:
    run = session.tracker.run(
        f"{trial.folder}/{artifact.fingerprint}",
        f"{session.folder.name}/{trial.name}",
        "trial",
        parent=session.parent,
        tags={"talaria.pipeline": session.config.run.name, "talaria.folder": trial.folder},
        params=trial.values,
    )
    session.tracker.sync_metrics(run, Path(trial.folder) / METRICS)
    session.tracker.metrics(run, {METRIC: trial.score}, step=trial.epochs)
    session.tracker.finish(run)
    return run
