"""Stage `classify`: class logits by every classifier of an ensemble, and what they say together."""

from __future__ import annotations

from typing import Any

from talaria.config.schema import RunConfig
from talaria.ensemble.classifying import Classified, classified
from talaria.errors import ConfigError
from talaria.evaluation.video_labels import VideoLabels
from talaria.pipeline.graph import HeadNode, classifier_members
from talaria.pipeline.heads import TrainedHeads
from talaria.pipeline.predictions import Work, run_plans
from talaria.pipeline.session import Session
from talaria.pipeline.videos import with_features
from talaria.prediction.classifying import ClassifierPlan, read_logits
from talaria.records import Dataset
from talaria.store.artifact import RECORD
from talaria.store.checkpoint import weights_digest
from talaria.store.feature_store import FeatureStore
from talaria.store.files import read_json
from talaria.store.ledger import Ledger

_STAGE = "classify"


def classify_missing(
    session: Session, dataset: Dataset, stores: dict[str, FeatureStore], heads: TrainedHeads
) -> None:
    """Classify the videos to fit on and to judge, whatever of it is not there yet.

    Raises:
        ConfigError: clip scores are wanted of a backbone that tells other classes apart.
    """
    members = classifier_members(session.config)
    if members:
        _check_classes(session.config, dataset, stores)
        run_plans(session, _STAGE, [_work(session, dataset, stores, heads, head) for head in members])


def classifiers_made_from(session: Session) -> list[tuple[str, str]]:
    """Name and fingerprint of every member of the ensemble of classifiers; empty where there is none.

    Raises:
        ConfigError: naming those that classified nothing yet.
    """
    names = [head.name for head in classifier_members(session.config)]
    records = {name: session.folder / _STAGE / name / RECORD for name in names}
    missing = [
        f"{path.parent}: classified nothing yet; run jobs/predict.py with this recipe"
        for path in records.values()
        if not path.is_file()
    ]
    if missing:
        raise ConfigError(missing)
    return [(name, str(read_json(path)["fingerprint"])) for name, path in records.items()]


def classified_videos(session: Session, dataset: Dataset) -> Classified | None:
    """What the ensemble of classifiers says of the videos to fit on and to judge; None where there is none.

    Raises:
        ConfigError: too few labelled videos to learn weights from.
        DataError: logits that are damaged, or videos that only some classifiers know.
    """
    data, members = session.config.data, classifier_members(session.config)
    if not members:
        return None
    logits = {head.name: read_logits(session.folder / _STAGE / head.name / "logits") for head in members}
    fit_labels, judge_labels = (
        VideoLabels.of_videos(dataset.subset(name), dataset.classes)
        for name in (data.fit_subset, data.judge_subset)
    )
    judged = None if data.fit_subset == data.judge_subset else judge_labels
    return classified(logits, fit_labels, judged, folds=session.config.ensemble.folds)


def classifier_metrics(result: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """What MLflow shows of an ensemble of classifiers as a whole, and of each; empty where there is none.

    Args:
        result: the content of `ensemble.json`.
    """
    found = result.get("classifiers")
    if found is None:
        return {}, {}
    whole = {f"classifiers_{name}": found[name] for name in ("best_top_1", "equal_top_1", "learned_top_1")}
    top_1 = {f"top_1.{member['name']}": member["top_1"] for member in found["members"]}
    return whole, top_1 | {f"weight.{member['name']}": member["weight"] for member in found["members"]}


def _work(
    session: Session,
    dataset: Dataset,
    stores: dict[str, FeatureStore],
    heads: TrainedHeads,
    head: HeadNode,
) -> Work:
    data, store = session.config.data, stores[head.backbone]
    ids = with_features(dataset, (data.fit_subset, data.judge_subset), Ledger(store.folder))
    training = heads.classifiers.get(head.name)
    classifier = training.artifact.folder if training else None
    fields = {
        "classifier": weights_digest(classifier) if classifier else None,
        "features": store.contract.fingerprint,
        "classes": dataset.classes,
        "videos": ids,
    }
    artifact = session.artifact(_STAGE, head.name, "1", fields)
    plan = ClassifierPlan(
        out=str(artifact.folder),
        features=str(store.folder),
        classifier=str(classifier) if classifier else None,
        num_classes=len(dataset.classes),
        video_ids=ids,
    )
    return Work(artifact, plan)


def _check_classes(config: RunConfig, dataset: Dataset, stores: dict[str, FeatureStore]) -> None:
    problems = [
        f"ensemble.clip_logits: backbone {name!r} tells {len(found)} classes apart that are not the "
        f"{len(dataset.classes)} of the annotations; fine-tune it, or set ensemble.clip_logits: false"
        for name, store in stores.items()
        if config.ensemble.clip_logits and (found := store.contract.classes) != dataset.classes
    ]
    if problems:
        raise ConfigError(problems)
