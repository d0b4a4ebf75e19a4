"""Stage `train`: classifiers and detectors on stored features."""

from __future__ import annotations

from dataclasses import dataclass

from talaria.pipeline.graph import HeadNode, classifier_heads, detector_heads
from talaria.pipeline.head_jobs import head_training, training_videos
from talaria.pipeline.session import Session
from talaria.pipeline.trainings import Training, run_trainings
from talaria.pipeline.weak import weak_detector, weak_teacher
from talaria.records import Dataset
from talaria.store.feature_store import FeatureStore
from talaria.training.job import SnippetSource


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
    teachers = {
        head.name: weak_teacher(session, dataset, stores[head.backbone], head)
        for head in detector_heads(session.config)
        if session.config.detectors[head.node_name].takes_trimmed
    }
    if teachers:
        run_trainings(session, "train", list(teachers.values()))
    detectors = {
        head.name: _detector(session, dataset, stores, head, teachers.get(head.name))
        for head in detector_heads(session.config)
    }
    run_trainings(session, "train", [*detectors.values(), *classifiers.values()])
    return TrainedHeads(classifiers, detectors)


def _detector(
    session: Session,
    dataset: Dataset,
    stores: dict[str, FeatureStore],
    head: HeadNode,
    teacher: Training | None,
) -> Training:
    store, node = stores[head.backbone], session.config.detectors[head.node_name]
    if node.is_weak:
        return weak_detector(session, dataset, store, head, teacher)
    source = SnippetSource(
        str(store.folder), training_videos(session, dataset, store), node.model.num_snippets, dataset.classes
    )
    return head_training(session, head.name, head.backbone, node, source)


def _classifier(
    session: Session, dataset: Dataset, stores: dict[str, FeatureStore], head: HeadNode
) -> Training:
    store, node = stores[head.backbone], session.config.classifiers[head.node_name]
    source = SnippetSource(
        str(store.folder), training_videos(session, dataset, store), node.num_bins, dataset.classes
    )
    return head_training(session, head.name, head.backbone, node, source)
