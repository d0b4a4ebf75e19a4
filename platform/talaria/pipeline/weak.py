"""Weakly supervised detectors: trained on the classes of videos; no segment of theirs is looked at.

Where knowledge is transferred, the same network first learns from trimmed clips, in a training of its own.
"""

from __future__ import annotations

from talaria.errors import ConfigError
from talaria.pipeline.graph import HeadNode
from talaria.pipeline.head_jobs import head_training
from talaria.pipeline.session import Session
from talaria.pipeline.trainings import Training
from talaria.pipeline.videos import tagged_videos
from talaria.records import Dataset
from talaria.store.feature_store import FeatureStore
from talaria.store.ledger import Ledger
from talaria.training.job import TaggedVideo, WeakSource
from talaria_models.kt_mgfn.config import KTMGFNConfig, trimmed_branch


def weak_detector(
    session: Session, dataset: Dataset, store: FeatureStore, head: HeadNode, teacher: Training | None
) -> Training:
    """The training of a detector on videos and their classes.

    Args:
        teacher: the finished training on trimmed clips, where knowledge is transferred.
    """
    data, node = session.config.data, session.config.detectors[head.node_name]
    videos = _tagged(session, dataset, store, data.train_subset)
    size, made_from = node.model.num_snippets, {}
    source = WeakSource(str(store.folder), videos, size, dataset.classes)
    if teacher is not None:
        assert isinstance(teacher.job.source, WeakSource)
        clips, folder = teacher.job.source.videos, str(teacher.artifact.folder)
        source = WeakSource(str(store.folder), videos, size, dataset.classes, clips, folder)
        made_from = {"teacher": teacher.artifact.fingerprint}
    return head_training(session, head.name, head.backbone, node, source, made_from)


def weak_teacher(session: Session, dataset: Dataset, store: FeatureStore, head: HeadNode) -> Training:
    """The training of the same network on trimmed clips, taken as whole videos.

    Raises:
        ConfigError: there are none of one class.
    """
    data, node = session.config.data, session.config.detectors[head.node_name]
    assert isinstance(node.model, KTMGFNConfig)
    assert data.trimmed_subset is not None
    tagged = _tagged(session, dataset, store, data.trimmed_subset)
    clips = tuple(one for one in tagged if len(one.labels) == 1)
    if not clips:
        raise ConfigError(
            f"detectors.{head.node_name}.model.transfer: needs trimmed clips, but none of {len(tagged)} "
            f"videos with features of data.trimmed_subset ({data.trimmed_subset!r}) has exactly one class; "
            "name another subset, or set transfer to false"
        )
    source = WeakSource(str(store.folder), clips, node.model.trimmed_snippets, dataset.classes)
    branch = node.model_copy(update={"model": trimmed_branch(node.model)})
    return head_training(session, f"{head.name}-trimmed", head.backbone, branch, source)


def _tagged(session: Session, dataset: Dataset, store: FeatureStore, subset: str) -> tuple[TaggedVideo, ...]:
    tolerance_frac = session.config.data.length_tolerance_frac
    return tagged_videos(dataset.subset(subset), Ledger(store.folder), tolerance_frac)
