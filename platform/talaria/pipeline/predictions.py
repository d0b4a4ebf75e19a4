"""Stage `predict`: raw predictions of every member on the videos that weights are learned and judged on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from talaria.config.fingerprint import fingerprint
from talaria.log import BOARD
from talaria.pipeline.graph import HeadNode, detector_heads
from talaria.pipeline.heads import TrainedHeads
from talaria.pipeline.session import Session
from talaria.pipeline.trainings import Training
from talaria.pipeline.videos import with_features
from talaria.prediction.predict import MemberPlan, predict
from talaria.prediction.raw import RawMeta
from talaria.records import Dataset
from talaria.store.artifact import Artifact
from talaria.store.checkpoint import weights_digest
from talaria.store.feature_store import FeatureStore
from talaria.store.ledger import Ledger
from talaria.tracking.mlflow_tracker import MEMBER_TAG, PREDICTIONS_TAG, RunRef


@dataclass(frozen=True)
class Predicted:
    """One member's predictions: the artifact's folder holds them in `raw/`."""

    training: Training
    artifact: Artifact
    plan: MemberPlan


def predict_missing(
    session: Session, dataset: Dataset, stores: dict[str, FeatureStore], heads: TrainedHeads
) -> None:
    """Predict with every member whose predictions are not there yet."""
    members = [_member(session, dataset, stores, heads, head) for head in detector_heads(session.config)]
    missing = [member for member in members if not member.artifact.finished()]
    if missing:
        _predict(session, missing)
    else:
        session.skipped("predict", f"{len(members)} members")
    for member in members:
        session.track_once(member.artifact, partial(_offer, session, member))


def _predict(session: Session, missing: list[Predicted]) -> None:
    total = sum(len(member.plan.video_ids) for member in missing)
    with session.stage("predict", f"{len(missing)} members, {total} predictions"):
        capacity = session.capacity
        for member in missing:
            member.artifact.begin()
        with BOARD.step("predict", total) as step:
            predict([member.plan for member in missing], session.config.resources, capacity, step.advance)
        for member in missing:
            member.artifact.commit(videos=len(member.plan.video_ids))


def _offer(session: Session, member: Predicted) -> RunRef:
    """Say in MLflow where a detector's predictions lie; it is a member until a person says otherwise."""
    run = member.training.run(session, "train")
    session.tracker.tag(run, PREDICTIONS_TAG, str(member.plan.folder))
    session.tracker.tag(run, MEMBER_TAG, "yes")
    session.tracker.finish(run)
    return run


def _member(
    session: Session,
    dataset: Dataset,
    stores: dict[str, FeatureStore],
    heads: TrainedHeads,
    head: HeadNode,
) -> Predicted:
    data, store = session.config.data, stores[head.backbone]
    ids = with_features(dataset, (data.fit_subset, data.judge_subset), Ledger(store.folder))
    training, classified = heads.detectors[head.name], heads.classifiers.get(head.backbone)
    detector = training.artifact.folder
    classifier = classified.artifact.folder if classified else None
    meta = RawMeta(
        member=head.name,
        classes=dataset.classes,
        dataset=dataset_fingerprint(dataset, data.fit_subset, data.judge_subset),
        split="+".join(dict.fromkeys((data.fit_subset, data.judge_subset))),
        video_ids=ids,
        time_base="decoded",
    )
    fields = {
        "detector": weights_digest(detector),
        "classifier": weights_digest(classifier) if classifier else None,
        "features": store.contract.fingerprint,
        "meta": meta,
    }
    artifact = session.artifact("predict", head.name, "1", fields)
    plan = MemberPlan(
        meta=meta,
        out=str(artifact.folder),
        detector=str(detector),
        classifier=str(classifier) if classifier else None,
        features=str(store.folder),
        video_ids=ids,
    )
    return Predicted(training, artifact, plan)


def dataset_fingerprint(dataset: Dataset, *subsets: str) -> str:
    """What members must agree on: the videos of some subsets, their truth and the class list."""
    videos = [v for name in dict.fromkeys(subsets) for v in dataset.subset(name)]
    return fingerprint(
        [dataset.classes, [(v.video_id, v.subset, v.duration_s, v.annotations) for v in videos]]
    )
