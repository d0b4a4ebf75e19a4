"""Stage `train`: classifiers and detectors on stored features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from talaria.config.fingerprint import fingerprint, plain
from talaria.config.nodes import ClassifierNode, DetectorNode, RefinerNode
from talaria.pipeline.graph import HeadNode, classifier_heads, detector_heads
from talaria.pipeline.session import Session
from talaria.pipeline.trainings import Training, run_trainings
from talaria.pipeline.videos import labelled_videos
from talaria.records import Dataset
from talaria.seeds import content_seed
from talaria.store.feature_store import FeatureStore
from talaria.store.ledger import Ledger
from talaria.training.job import LabelledVideo, SnippetSource, TrainJob

HeadSettings: TypeAlias = DetectorNode | ClassifierNode | RefinerNode


@dataclass(frozen=True)
class TrainedHeads:
    """What was trained.

    Attributes:
        classifiers: each classifier by its name.
        detectors: each detector by its name.
    """

    classifiers: dict[str, Training]
    detectors: dict[str, Training]


def train_missing(session: Session, dataset: Dataset, stores: dict[str, FeatureStore]) -> TrainedHeads:
    """Train every classifier and every detector that is not there yet."""
    classifiers = {
        head.name: _classifier(session, dataset, stores, head) for head in classifier_heads(session.config)
    }
    detectors = {
        head.name: _detector(session, dataset, stores, head) for head in detector_heads(session.config)
    }
    run_trainings(session, "train", [*detectors.values(), *classifiers.values()])
    return TrainedHeads(classifiers, detectors)


def _detector(
    session: Session, dataset: Dataset, stores: dict[str, FeatureStore], head: HeadNode
) -> Training:
    store, node = stores[head.backbone], session.config.detectors[head.node_name]
    source = SnippetSource(
        str(store.folder), training_videos(session, dataset, store), node.model.num_snippets, dataset.classes
    )
    return _training(session, head, node, source)


def _classifier(
    session: Session, dataset: Dataset, stores: dict[str, FeatureStore], head: HeadNode
) -> Training:
    store, node = stores[head.backbone], session.config.classifiers[head.node_name]
    source = SnippetSource(
        str(store.folder), training_videos(session, dataset, store), node.num_bins, dataset.classes
    )
    return _training(session, head, node, source)


def head_sizes(node: HeadSettings, store: FeatureStore, classes: Sequence[str]) -> dict[str, int]:
    """What the data decides about a head, as `talaria_models.registry.build` takes it."""
    sizes = {"in_channels": store.contract.feature_dim}
    if isinstance(node, ClassifierNode) or (isinstance(node, DetectorNode) and not node.has_maps):
        sizes["num_classes"] = len(classes)
    return sizes


def _training(
    session: Session, head: HeadNode, node: DetectorNode | ClassifierNode, source: SnippetSource
) -> Training:
    store = FeatureStore(Path(source.folder))
    contract = store.contract
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
        sizes=head_sizes(node, store, source.classes),
        optim=node.optim,
        source=source,
        seed=seed,
        out=str(artifact.folder),
        card={"classes": source.classes, "contract": plain(contract), "num_bins": source.num_bins},
    )
    return Training(artifact, job, {"model": node.model, "optim": node.optim, "features": head.backbone})


def training_videos(session: Session, dataset: Dataset, store: FeatureStore) -> tuple[LabelledVideo, ...]:
    """The videos of the training subset that heads on these features learn from."""
    data = session.config.data
    ledger = Ledger(store.folder)
    return labelled_videos(dataset.subset(data.train_subset), ledger, data.length_tolerance_frac)
