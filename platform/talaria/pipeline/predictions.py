"""Stage `predict`: raw predictions of every member on the videos that weights are learned and judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from talaria.config.fingerprint import fingerprint
from talaria.log import BOARD
from talaria.pipeline.graph import HeadNode, detector_heads, own_classifier
from talaria.pipeline.heads import TrainedHeads
from talaria.pipeline.member_facts import cost_metrics, draw_beliefs, proposal_metrics, sampled_beliefs
from talaria.pipeline.session import Session
from talaria.pipeline.trainings import Training
from talaria.pipeline.videos import with_features
from talaria.prediction.members import MemberPlan
from talaria.prediction.predict import ShardPlan, predict
from talaria.prediction.stores import RawMeta, RawStore
from talaria.records import Dataset
from talaria.store.artifact import Artifact
from talaria.store.checkpoint import weights_digest
from talaria.store.feature_store import FeatureStore
from talaria.store.ledger import Ledger
from talaria.tracking.mlflow_tracker import (
    BELIEF_TAG,
    FEATURES_TAG,
    FOUND_SEGMENTS,
    MAPS,
    MEMBER_TAG,
    PREDICTIONS_TAG,
    RunRef,
)

PICTURE = "member.png"


@dataclass(frozen=True)
class Work:
    """An artifact and the plan that fills it with shards."""

    artifact: Artifact
    plan: ShardPlan


@dataclass(frozen=True)
class Predicted(Work):
    """The predictions of a trained model: the artifact's folder holds them in `raw/`."""

    training: Training


def predict_missing(
    session: Session, dataset: Dataset, stores: dict[str, FeatureStore], heads: TrainedHeads
) -> dict[str, Predicted]:
    """Predict with every detector whose predictions are not there yet; returns all by name."""
    data = session.config.data
    subsets = (data.fit_subset, data.judge_subset)
    detectors = [
        detector_predictions(session, dataset, stores, heads, head, "predict", subsets)
        for head in detector_heads(session.config)
    ]
    run_plans(session, "predict", detectors)
    for head, detector in zip(detector_heads(session.config), detectors, strict=True):
        belief = MAPS if session.config.detectors[head.node_name].has_maps else FOUND_SEGMENTS
        session.track_once(detector.artifact, partial(offer, session, dataset, detector, belief))
    return {detector.artifact.folder.name: detector for detector in detectors}


def run_plans(session: Session, stage: str, works: Sequence[Work]) -> None:
    """Fill the shards of what is not finished yet, all in one pass."""
    missing = [work for work in works if not work.artifact.finished()]
    names = ", ".join(work.artifact.folder.name for work in missing or works)
    if not missing:
        session.skipped(stage, names)
        return
    total = sum(len(work.plan.video_ids) for work in missing)
    with session.stage(stage, f"{names}: {total} videos"):
        capacity = session.capacity
        for work in missing:
            work.artifact.begin()
        with BOARD.step(stage, total) as step:
            predict([work.plan for work in missing], session.config.resources, capacity, step.advance)
        for work in missing:
            work.artifact.commit(videos=len(work.plan.video_ids))


def offer(session: Session, dataset: Dataset, predicted: Predicted, belief: str) -> RunRef:
    """Show predictions in MLflow: where they lie, what they cost, how good they are, how they look.

    The run is a member of ensembles until a person says no. Where the judged videos are those that weights
    are fitted on, there is no measure before the ensemble's own.
    """
    tracker, config = session.tracker, session.config
    run = predicted.training.run(session, "train")
    beliefs, videos = sampled_beliefs(RawStore(predicted.plan.folder), dataset, config.data.fit_subset)
    tracker.metrics(run, cost_metrics(predicted.training, beliefs))
    if config.data.fit_subset != config.data.judge_subset:
        tracker.metrics(run, proposal_metrics(beliefs, videos, dataset.classes, config.postprocess))
    picture = predicted.artifact.folder / PICTURE
    title = f"{run.name}: videos of {config.data.fit_subset}"
    if draw_beliefs(title, beliefs, videos, dataset.classes, config.postprocess, picture):
        tracker.artifact(run, picture)
    tracker.tag(run, FEATURES_TAG, predicted.training.params["features"])
    tracker.tag(run, PREDICTIONS_TAG, str(predicted.plan.folder))
    tracker.tag(run, BELIEF_TAG, belief)
    tracker.tag(run, MEMBER_TAG, "yes")
    tracker.finish(run)
    return run


def detector_predictions(
    session: Session,
    dataset: Dataset,
    stores: dict[str, FeatureStore],
    heads: TrainedHeads,
    head: HeadNode,
    stage: str,
    subsets: Sequence[str],
) -> Predicted:
    """A detector's predictions of the videos of some subsets; `stage` is the folder that holds them."""
    store = stores[head.backbone]
    ids = with_features(dataset, subsets, Ledger(store.folder))
    training, classified = heads.detectors[head.name], classified_by(session, heads, head.backbone)
    detector = training.artifact.folder
    classifier = classified.artifact.folder if classified else None
    digest, has_maps = weights_digest(detector), session.config.detectors[head.node_name].has_maps
    meta = raw_meta(dataset, head.name, subsets, ids, "" if has_maps else f"found by {digest}")
    fields = {
        "detector": digest,
        "classifier": weights_digest(classifier) if classifier else None,
        "features": store.contract.fingerprint,
        "meta": meta,
    }
    artifact = session.artifact(stage, head.name, "1", fields)
    plan = MemberPlan(
        meta=meta,
        out=str(artifact.folder),
        detector=str(detector),
        classifier=str(classifier) if classifier else None,
        features=str(store.folder),
        video_ids=ids,
    )
    return Predicted(artifact, plan, training)


def classified_by(session: Session, heads: TrainedHeads, backbone: str) -> Training | None:
    """The classifier behind the raw predictions on a backbone; None where its clip scores are kept."""
    head = own_classifier(session.config, backbone)
    return heads.classifiers[head.name] if head else None


def raw_meta(
    dataset: Dataset, name: str, subsets: Sequence[str], video_ids: tuple[str, ...], proposals: str = ""
) -> RawMeta:
    """What is kept beside raw predictions of some subsets."""
    return RawMeta(
        member=name,
        classes=dataset.classes,
        dataset=dataset_fingerprint(dataset, *subsets),
        split="+".join(dict.fromkeys(subsets)),
        video_ids=video_ids,
        time_base="decoded",
        proposals=proposals,
    )


def dataset_fingerprint(dataset: Dataset, *subsets: str) -> str:
    """What members must agree on: the videos of some subsets, their truth and the class list."""
    videos = [v for name in dict.fromkeys(subsets) for v in dataset.subset(name)]
    return fingerprint(
        [dataset.classes, [(v.video_id, v.subset, v.duration_s, v.annotations) for v in videos]]
    )
