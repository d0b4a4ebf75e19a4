"""From a node of a recipe and what it learns from to a training in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from talaria.config.fingerprint import fingerprint, plain
from talaria.config.nodes import ClassifierNode, DetectorNode, RefinerNode
from talaria.pipeline.session import Session
from talaria.pipeline.trainings import Training
from talaria.pipeline.videos import labelled_videos
from talaria.records import Dataset
from talaria.seeds import content_seed
from talaria.store.feature_store import FeatureStore
from talaria.store.ledger import Ledger
from talaria.training.job import LabelledVideo, SnippetSource, TrainJob, WeakSource

HeadSettings: TypeAlias = DetectorNode | ClassifierNode | RefinerNode


def head_sizes(node: HeadSettings, store: FeatureStore, classes: Sequence[str]) -> dict[str, int]:
    """What the data decides about a head, as `talaria_models.registry.build` takes it."""
    sizes = {"in_channels": store.contract.feature_dim}
    if isinstance(node, ClassifierNode) or (isinstance(node, DetectorNode) and not node.has_maps):
        sizes["num_classes"] = len(classes)
    return sizes


def head_training(
    session: Session,
    name: str,
    backbone: str,
    node: DetectorNode | ClassifierNode,
    source: SnippetSource | WeakSource,
    made_from: Mapping[str, Any] | None = None,
) -> Training:
    """The training of a detector or classifier on stored features.

    Args:
        name: of its folder below `train/`.
        made_from: what else decides the result, for the artifact's record.
    """
    store = FeatureStore(Path(source.folder))
    seed = content_seed(session.config.run.seed, "train", name)
    fields = {
        "model": node.model,
        "optim": node.optim,
        "num_bins": source.num_bins,
        "features": store.contract.fingerprint,
        "videos": fingerprint(source.videos),
        "classes": source.classes,
        "seed": seed,
        **(made_from or {}),
    }
    artifact = session.artifact("train", name, "1", fields)
    job = TrainJob(
        name=name,
        model=node.model,
        sizes=head_sizes(node, store, source.classes),
        optim=node.optim,
        source=source,
        seed=seed,
        out=str(artifact.folder),
        card={"classes": source.classes, "contract": plain(store.contract), "num_bins": source.num_bins},
    )
    return Training(artifact, job, {"model": node.model, "optim": node.optim, "features": backbone})


def training_videos(session: Session, dataset: Dataset, store: FeatureStore) -> tuple[LabelledVideo, ...]:
    """The videos of the training subset that heads on these features learn from."""
    data = session.config.data
    ledger = Ledger(store.folder)
    return labelled_videos(dataset.subset(data.train_subset), ledger, data.length_tolerance_frac)
