"""Stage `refine`: proposals from the detectors' maps, refiners trained on them, and what these predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from talaria.config.fingerprint import fingerprint, plain
from talaria.config.nodes import RefinerNode
from talaria.ensemble.proposing import ProposalPlan
from talaria.pipeline.graph import HeadNode, proposal_sources, refiner_heads, used_proposals
from talaria.pipeline.head_jobs import head_sizes, training_videos
from talaria.pipeline.heads import TrainedHeads
from talaria.pipeline.predictions import (
    Predicted,
    Work,
    classified_by,
    detector_predictions,
    offer,
    raw_meta,
    run_plans,
)
from talaria.pipeline.session import Session
from talaria.pipeline.trainings import Training, run_trainings
from talaria.pipeline.videos import with_features
from talaria.prediction.refiners import RefinerPlan
from talaria.records import Dataset
from talaria.seeds import content_seed
from talaria.store.checkpoint import weights_digest
from talaria.store.feature_store import FeatureStore
from talaria.store.ledger import Ledger
from talaria.tracking.mlflow_tracker import REFINED_PROPOSALS
from talaria.training.job import RefinerSource, TrainJob


def propose_missing(
    session: Session,
    dataset: Dataset,
    stores: dict[str, FeatureStore],
    heads: TrainedHeads,
    detectors: Mapping[str, Predicted],
) -> dict[str, Work]:
    """Make the sets of proposals that refiners start from and that are not there yet; returns all by name."""
    config, names = session.config, used_proposals(session.config)
    if not names:
        return {}
    sources = {head.name: head for name in names for head in proposal_sources(config, name)}
    subsets = (config.data.train_subset,)
    learned_from = {
        name: detector_predictions(session, dataset, stores, heads, head, "predict_training", subsets)
        for name, head in sources.items()
    }
    run_plans(session, "predict_training", list(learned_from.values()))
    offered = {name: _proposals(session, (learned_from, detectors), name) for name in names}
    run_plans(session, "proposals", list(offered.values()))
    return offered


def refine_missing(
    session: Session,
    dataset: Dataset,
    stores: dict[str, FeatureStore],
    heads: TrainedHeads,
    offered: Mapping[str, Work],
) -> None:
    """Train the refiners and predict with them, whatever of it is not there yet."""
    nodes = refiner_heads(session.config)
    if not nodes:
        return
    trainings = {head.name: _training(session, dataset, stores, offered, head) for head in nodes}
    run_trainings(session, "train", list(trainings.values()))
    refined = [
        _predicted(session, dataset, stores, heads, offered, head, trainings[head.name]) for head in nodes
    ]
    run_plans(session, "refine", refined)
    for one in refined:
        session.track_once(one.artifact, partial(offer, session, dataset, one, REFINED_PROPOSALS))


def _proposals(session: Session, predicted: Sequence[Mapping[str, Predicted]], name: str) -> Work:
    """One set of proposals, on the videos that all its detectors predicted, in training subset and others."""
    node, sources = session.config.proposals[name], proposal_sources(session.config, name)
    members = [[works[head.name] for works in predicted] for head in sources]
    listed = [[video_id for work in works for video_id in work.plan.video_ids] for works in members]
    common = set.intersection(*map(set, listed))
    ids = tuple(video_id for video_id in dict.fromkeys(listed[0]) if video_id in common)
    fields = {
        "members": [work.artifact.fingerprint for works in members for work in works],
        "suppression": node.suppression,
        "videos": ids,
    }
    artifact = session.artifact("proposals", name, "1", fields)
    folders = tuple(tuple(str(work.plan.folder) for work in works) for works in members)
    return Work(artifact, ProposalPlan(str(artifact.folder), folders, node.suppression, ids))


def _training(
    session: Session,
    dataset: Dataset,
    stores: dict[str, FeatureStore],
    offered: Mapping[str, Work],
    head: HeadNode,
) -> Training:
    config, store = session.config, stores[head.backbone]
    node = config.refiners[head.node_name]
    proposals = offered[node.proposals]
    source = refiner_source(session, dataset, store, proposals, node)
    seed = content_seed(config.run.seed, "train", head.name)
    fields = {
        "model": node.model,
        "optim": node.optim,
        "proposals": proposals.artifact.fingerprint,
        "num_proposals": source.num_proposals,
        "max_snippets": source.max_snippets,
        "features": store.contract.fingerprint,
        "videos": fingerprint(source.videos),
        "classes": source.classes,
        "seed": seed,
    }
    artifact = session.artifact("train", head.name, "1", fields)
    card = {"classes": source.classes, "contract": plain(store.contract), "max_snippets": source.max_snippets}
    job = TrainJob(
        name=head.name,
        model=node.model,
        sizes=head_sizes(node, store, source.classes),
        optim=node.optim,
        source=source,
        seed=seed,
        out=str(artifact.folder),
        card=card,
    )
    params = {
        "model": node.model,
        "optim": node.optim,
        "features": head.backbone,
        "proposals": node.proposals,
    }
    return Training(artifact, job, params)


def refiner_source(
    session: Session, dataset: Dataset, store: FeatureStore, proposals: Work, node: RefinerNode
) -> RefinerSource:
    """What a refiner learns from: the videos of the training subset that have proposals."""
    known = set(proposals.plan.video_ids)
    usable = training_videos(session, dataset, store)
    return RefinerSource(
        folder=str(store.folder),
        proposals=str(proposals.plan.folder),
        videos=tuple(video for video in usable if video.video_id in known),
        num_proposals=node.training_proposals,
        max_snippets=node.max_snippets,
        classes=dataset.classes,
    )


def _predicted(
    session: Session,
    dataset: Dataset,
    stores: dict[str, FeatureStore],
    heads: TrainedHeads,
    offered: Mapping[str, Work],
    head: HeadNode,
    training: Training,
) -> Predicted:
    data, store = session.config.data, stores[head.backbone]
    node, classified = session.config.refiners[head.node_name], classified_by(session, heads, head.backbone)
    proposals, subsets = offered[node.proposals], (data.fit_subset, data.judge_subset)
    known = set(proposals.plan.video_ids)
    ids = tuple(
        video_id for video_id in with_features(dataset, subsets, Ledger(store.folder)) if video_id in known
    )
    meta = raw_meta(dataset, head.name, subsets, ids, proposals.artifact.fingerprint)
    refiner, classifier = training.artifact.folder, classified.artifact.folder if classified else None
    fields = {
        "refiner": weights_digest(refiner),
        "classifier": weights_digest(classifier) if classifier else None,
        "features": store.contract.fingerprint,
        "stages": node.stages,
        "meta": meta,
    }
    artifact = session.artifact("refine", head.name, "1", fields)
    plan = RefinerPlan(
        meta=meta,
        out=str(artifact.folder),
        refiner=str(refiner),
        classifier=str(classifier) if classifier else None,
        features=str(store.folder),
        proposals=str(proposals.plan.folder),
        stages=node.stages,
        video_ids=ids,
    )
    return Predicted(artifact, plan, training)
