"""Stage `ensemble`: members by an MLflow filter, weights learned on one subset, judged once on another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from talaria.config.fingerprint import fingerprint, plain
from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.classifying import Classified
from talaria.ensemble.fitting import CrossFit, Fit, Judgement, Tune, bagged, cross_fit, fit, judge
from talaria.ensemble.members import Member, member_stores, pick_members
from talaria.ensemble.scoring import FusionSet
from talaria.evaluation.arrays import Detections, GroundTruth
from talaria.evaluation.detection import DetectionResult
from talaria.evaluation.formats import read_detections, write_detections
from talaria.evaluation.proposals import average_recall
from talaria.log import BOARD, Step
from talaria.pipeline.classifiers import classified_videos, classifier_metrics, classifiers_made_from
from talaria.pipeline.session import Session
from talaria.prediction.postprocess import as_results
from talaria.records import Dataset
from talaria.search.inner import REFINED_SPACE, SPACE, Space, search_postprocess
from talaria.seeds import content_seed
from talaria.store.artifact import RECORD, Artifact
from talaria.store.files import read_json, write_json
from talaria.tracking.mlflow_tracker import (
    BELIEF_TAG,
    DEFAULT_FILTER,
    MAPS,
    REFINED_PROPOSALS,
    RunRef,
)

ENSEMBLE = "ensemble.json"
DETECTIONS = "detections.json"


@dataclass(frozen=True)
class Fused:
    """A finished ensemble: its folder holds the detections and, in `ensemble.json`, everything learned."""

    folder: Path

    @property
    def result(self) -> dict[str, Any]:
        """Members, weights, post-processing and scores."""
        result: dict[str, Any] = read_json(self.folder / ENSEMBLE)
        return result


def fuse_and_judge(session: Session, dataset: Dataset) -> Fused:
    """Find the members, learn their weights, judge them; skipped where these very members were fused before.

    Raises:
        ConfigError: the filter finds no members, or members that do not belong together.
    """
    members = pick_members(session.tracker, members_filter(session))
    artifact = _artifact(session, members)
    if artifact.finished():
        session.skipped("ensemble", f"{len(members)} members")
    else:
        _fuse(session, dataset, members, artifact)
    session.track_once(artifact, lambda: _track(session, artifact))
    return Fused(artifact.folder)


def _fuse(session: Session, dataset: Dataset, members: tuple[Member, ...], artifact: Artifact) -> None:
    stores = member_stores(members)
    with session.stage("ensemble", ", ".join(short_name(session, member) for member in members)):
        artifact.begin()
        data, classes = session.config.data, classified_videos(session, dataset)
        fit_set, judge_set = (
            FusionSet.read(
                stores,
                GroundTruth.of_videos(dataset.subset(name), dataset.classes),
                classes.logits if classes else None,
            )
            for name in (data.fit_subset, data.judge_subset)
        )
        outcome = _learn(session, artifact, fit_set, judge_set)
        _write(session, artifact, members, judge_set, outcome, classes)


def members_filter(session: Session) -> str:
    """The recipe's MLflow filter, by default the tag that people set, on runs of this pipeline.

    By default the refiners are the members where the recipe has any, else the detectors.
    """
    belief = REFINED_PROPOSALS if session.config.refiners else MAPS
    own = (
        f"{DEFAULT_FILTER} and tags.talaria.pipeline = '{session.config.run.name}' "
        f"and tags.{BELIEF_TAG} = '{belief}'"
    )
    return session.config.ensemble.members or own


def short_name(session: Session, member: Member) -> str:
    """A member's name without this run's own prefix."""
    return member.name.removeprefix(f"{session.config.run.name}/")


@dataclass(frozen=True)
class _Outcome:
    """Everything learned.

    Attributes:
        released: weights and post-processing from all fit videos: what new videos are detected with.
        crossed: the honest score of the fit subset: each video judged by a fit that did not see it.
        judgement: the final scores.
    """

    released: Fit
    crossed: CrossFit
    judgement: Judgement


def _artifact(session: Session, members: tuple[Member, ...]) -> Artifact:
    config = session.config
    classifiers = classifiers_made_from(session)
    fields = {
        "members": [(member.name, _made_from(member)) for member in members],
        "postprocess": config.postprocess,
        "ensemble": config.ensemble.model_dump(exclude={"members", "classifiers", "clip_logits"}),
        **({"classifiers": classifiers} if classifiers else {}),
        "fit_subset": config.data.fit_subset,
        "judge_subset": config.data.judge_subset,
        "seed": config.run.seed,
    }
    return session.artifact("ensemble", fingerprint(fields)[:8], "1", fields)


def _made_from(member: Member) -> str:
    """Fingerprint of a member's predictions, or where they lie if they are not there."""
    record = Path(member.predictions).parent / RECORD
    return str(read_json(record)["fingerprint"]) if record.is_file() else member.predictions


def _learn(session: Session, artifact: Artifact, fit_set: FusionSet, judge_set: FusionSet) -> _Outcome:
    section = session.config.ensemble
    searches = (section.folds + 1) * (len(fit_set.members) + 1)
    with BOARD.step("inner search", searches) as step:
        tune = _tuner(session, artifact, step, REFINED_SPACE if fit_set.refined else SPACE)
        crossed = cross_fit(fit_set, tune, folds=section.folds, rounds=section.rounds)
        same = session.config.data.fit_subset == session.config.data.judge_subset
        judged = () if same else judge_set.video_ids
        final = bagged(fit_set, fit(fit_set, tune, rounds=section.rounds, judged=judged), crossed)
    judgement = crossed.judgement if same else judge(judge_set, final)
    return _Outcome(final.learned, crossed, judgement)


def _tuner(session: Session, artifact: Artifact, step: Step, space: Space) -> Tune:
    def tune(name: str, objective: Callable[[PostprocessConfig], float]) -> PostprocessConfig:
        found = search_postprocess(
            objective,
            session.config.postprocess,
            trials=session.config.ensemble.trials,
            seed=content_seed(session.config.run.seed, "inner", name),
            journal=artifact.folder / "inner" / f"{name}.jsonl",
            identity=f"{artifact.fingerprint}/{name}",
            space=space,
        )
        step.advance()
        return found.config

    return tune


def _written(path: Path, judge_set: FusionSet, detections: Detections) -> DetectionResult:
    """Write the official file and score what it says; rounding may move a tIoU over a threshold."""
    truth = judge_set.truth
    detected = [listed[0].video_id for listed in judge_set.predictions]
    results = as_results(detections, truth.video_ids, truth.classes)
    write_detections(path, {video_id: results[video_id] for video_id in detected})
    return judge_set.score(Detections.of_results(read_detections(path), truth))


def _write(
    session: Session,
    artifact: Artifact,
    members: tuple[Member, ...],
    judge_set: FusionSet,
    outcome: _Outcome,
    classes: Classified | None,
) -> None:
    truth, judgement = judge_set.truth, outcome.judgement
    learned = _written(artifact.folder / DETECTIONS, judge_set, judgement.detections)
    proposals = replace(outcome.released.config, classes_per_video=1)
    recall = average_recall(truth, judge_set.detections(outcome.released.weights, proposals))
    alone = {name: judgement.alone[name] for name in judge_set.members}
    names = {member.name: short_name(session, member) for member in members}
    result = {
        "members": [
            {
                "name": names[member.name],
                "run_id": member.run_id,
                "average_map": alone[member.name].average_map,
                "map_at_50": _at_50(alone[member.name]),
            }
            for member in members
        ],
        "best_member_map": max(score.average_map for score in alone.values()),
        "equal_weights_map": judgement.equal.average_map,
        "learned_weights_map": learned.average_map,
        "learned_map_at_50": _at_50(learned),
        "learned_map_at_tiou": learned.map_at_tiou,
        "tiou": learned.tiou_thresholds,
        "auc": recall.auc,
        "cross_fitted_map": {
            "learned": outcome.crossed.judgement.learned.average_map,
            "equal": outcome.crossed.judgement.equal.average_map,
        },
        "weights": {names[n]: w for n, w in zip(judge_set.members, outcome.released.weights, strict=True)},
        "postprocess": outcome.released.config,
        "classes": truth.classes,
        **({"classifiers": classes.summary} if classes else {}),
    }
    write_json(artifact.folder / ENSEMBLE, _numbers(result))
    artifact.commit(members=list(names.values()))


def _track(session: Session, artifact: Artifact) -> RunRef:
    result = read_json(artifact.folder / ENSEMBLE)
    tags = {"talaria.subset": session.config.data.judge_subset}
    params = {"members": list(result["weights"]), "postprocess": result["postprocess"]}
    run = session.child(artifact, "ensemble", params, tags)
    names = ("best_member_map", "equal_weights_map", "learned_weights_map", "auc")
    scores = {name: result[name] for name in names}
    weights = {f"weight.{name}": weight for name, weight in result["weights"].items()}
    alone = {f"map.{member['name']}": member["average_map"] for member in result["members"]}
    classifying, each_classifier = classifier_metrics(result)
    session.tracker.metrics(run, {**scores, **weights, **alone, **classifying, **each_classifier})
    for name in (ENSEMBLE, DETECTIONS):
        session.tracker.artifact(run, artifact.folder / name)
    session.tracker.finish(run)
    session.tracker.metrics(session.parent, {**scores, **classifying})
    session.tracker.finish(session.parent)
    return run


def _at_50(score: DetectionResult) -> float:
    """mAP at the lowest threshold, tIoU 0.5."""
    return float(score.map_at_tiou[0])


def _numbers(value: Any) -> Any:
    """JSON types, numpy's included."""
    if hasattr(value, "tolist"):
        return value.tolist()
    value = plain(value)
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    return [_numbers(item) for item in value] if isinstance(value, list) else value
