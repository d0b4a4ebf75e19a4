"""What an ensemble leaves: official detections, `ensemble.json`, tables, a picture, and its MLflow run."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from talaria.config.fingerprint import plain
from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.classifying import Classified
from talaria.ensemble.fitting import Fits, Judgement
from talaria.ensemble.insight import complementarity
from talaria.ensemble.members import Member
from talaria.ensemble.scoring import FusionSet
from talaria.evaluation.arrays import Detections
from talaria.evaluation.detection import DetectionResult
from talaria.evaluation.formats import read_detections, write_detections
from talaria.evaluation.proposals import average_recall
from talaria.pipeline.classifiers import classifier_metrics
from talaria.pipeline.session import Session
from talaria.prediction.postprocess import as_results
from talaria.report.ensemble_plots import ensemble_figure
from talaria.store.artifact import Artifact
from talaria.store.files import read_json, write_json, written_aside
from talaria.tracking.mlflow_tracker import RunRef

ENSEMBLE = "ensemble.json"
DETECTIONS = "detections.json"
MEMBERS = "members.csv"
COMPLEMENTARITY = "complementarity.csv"
PICTURE = "ensemble.png"


@dataclass(frozen=True, eq=False)
class Outcome:
    """Everything learned and judged.

    Attributes:
        released: from all fit videos: what new videos are detected with.
        judgement: scores on the judged videos.
        judge_set: the judged videos with all members.
        final_set: the same with the members that have weight, whose pools are those of new videos.
        cross_fitted: whether each judged video was judged by a fit without it.
    """

    members: tuple[Member, ...]
    released: Fits
    judgement: Judgement
    judge_set: FusionSet
    final_set: FusionSet
    classes: Classified | None
    cross_fitted: bool

    @property
    def final_weights(self) -> tuple[float, ...]:
        """Of the members of `final_set`."""
        weights = dict(zip(self.judge_set.members, self.released.learned.weights, strict=True))
        return tuple(weights[name] for name in self.final_set.members)

    def final(self, config: PostprocessConfig) -> Detections:
        """What the released weights detect."""
        data = self.final_set
        if self.released.late:
            used = [self.judge_set.members.index(name) for name in data.members]
            data = data.clustered(self.released.late.of(used))
        return data.detections(self.final_weights, config)


def write_ensemble(session: Session, artifact: Artifact, outcome: Outcome) -> None:
    """Write everything and end the artifact."""
    folder, judgement, truth = artifact.folder, outcome.judgement, outcome.judge_set.truth
    config = outcome.released.learned.config
    found = judgement.detections if outcome.cross_fitted else outcome.final(config)
    learned = _written(folder / DETECTIONS, outcome.final_set, found)
    names = {member.name: short_name(session, member) for member in outcome.members}
    matrix = complementarity(truth, judgement.alone_detections)
    result = _numbers(
        {
            "members": _members(outcome, names, learned),
            "best_member_map": max(score.average_map for score in judgement.alone.values()),
            "equal_weights_map": judgement.equal.average_map,
            "learned_weights_map": learned.average_map,
            "learned_map_at_50": _at_50(learned),
            "learned_map_at_tiou": learned.map_at_tiou,
            "tiou": learned.tiou_thresholds,
            "auc": average_recall(truth, outcome.final(replace(config, classes_per_video=1))).auc,
            "way": outcome.released.choice.way,
            "validated_map": outcome.released.choice.validated,
            "cross_fitted": outcome.cross_fitted,
            "weights": _by_name(names, outcome.released.learned.weights),
            "complementarity": {"members": list(names.values()), "only": matrix},
            "num_truths": len(truth.start_s),
            "postprocess": outcome.released.learned.config,
            "late": _late(outcome, names),
            "classes": truth.classes,
            **({"classifiers": outcome.classes.summary} if outcome.classes else {}),
        }
    )
    _write_csv(folder / MEMBERS, result["members"])
    rows = zip(names.values(), result["complementarity"]["only"], strict=True)
    _write_csv(
        folder / COMPLEMENTARITY,
        [{"finds": name, **dict(zip(names.values(), row, strict=True))} for name, row in rows],
    )
    with written_aside(folder / PICTURE) as aside:
        ensemble_figure(result).savefig(aside, format="png", metadata={"Software": None})
    write_json(folder / ENSEMBLE, result)
    artifact.commit(members=list(names.values()))


def track_ensemble(session: Session, artifact: Artifact) -> RunRef:
    """Tell MLflow; returns the ensemble's run."""
    result = read_json(artifact.folder / ENSEMBLE)
    tags = {"talaria.subset": session.config.data.judge_subset, "talaria.way": result["way"]}
    params = {"members": list(result["weights"]), "postprocess": result["postprocess"]}
    run = session.child(artifact, "ensemble", params, tags)
    names = ("best_member_map", "equal_weights_map", "learned_weights_map", "auc")
    scores = {name: result[name] for name in names}
    each: dict[str, float] = {}
    for member in result["members"]:
        columns = {
            "weight": member["weight"],
            "map": member["average_map"],
            "leave_one_out": member["leave_one_out"],
        }
        each |= {f"{column}.{member['name']}": value for column, value in columns.items()}
    each |= {f"validated.{way}": value for way, value in result["validated_map"].items()}
    each |= _pairs(result["complementarity"])
    classifying, each_classifier = classifier_metrics(result)
    session.tracker.metrics(run, {**scores, **each, **classifying, **each_classifier})
    for name in (ENSEMBLE, DETECTIONS, MEMBERS, COMPLEMENTARITY, PICTURE):
        session.tracker.artifact(run, artifact.folder / name)
    session.tracker.finish(run)
    session.tracker.metrics(session.parent, {**scores, **classifying})
    session.tracker.finish(session.parent)
    return run


def short_name(session: Session, member: Member) -> str:
    """A member's name without this run's own prefix."""
    return member.name.removeprefix(f"{session.config.run.name}/")


def _members(outcome: Outcome, names: Mapping[str, str], learned: DetectionResult) -> list[dict[str, Any]]:
    judgement = outcome.judgement
    weights = dict(zip(outcome.judge_set.members, outcome.released.learned.weights, strict=True))
    return [
        {
            "name": names[member.name],
            "run_id": member.run_id,
            "average_map": judgement.alone[member.name].average_map,
            "map_at_50": _at_50(judgement.alone[member.name]),
            "weight": weights[member.name],
            "leave_one_out": judgement.learned.average_map - judgement.without[member.name].average_map
            if member.name in judgement.without
            else learned.average_map,
        }
        for member in outcome.members
    ]


def _late(outcome: Outcome, names: Mapping[str, str]) -> dict[str, Any] | None:
    late = outcome.released.late
    if late is None:
        return None
    return {
        names[name]: {"postprocess": config, "scale": scale}
        for name, config, scale in zip(outcome.judge_set.members, late.configs, late.scales, strict=True)
    }


def _written(path: Path, data: FusionSet, detections: Detections) -> DetectionResult:
    """Write the official file and score what it says; rounding may move a tIoU over a threshold."""
    results = as_results(detections, data.truth.video_ids, data.truth.classes)
    write_detections(path, {video_id: results[video_id] for video_id in data.predicted})
    return data.score(Detections.of_results(read_detections(path), data.truth))


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with written_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _by_name(names: Mapping[str, str], weights: tuple[float, ...]) -> dict[str, float]:
    return dict(zip(names.values(), weights, strict=True))


def _pairs(found: Mapping[str, Any]) -> dict[str, float]:
    """Metrics `only.<finds>.<misses>`."""
    members = found["members"]
    return {
        f"only.{finds}.{misses}": count
        for finds, row in zip(members, found["only"], strict=True)
        for misses, count in zip(members, row, strict=True)
        if finds != misses
    }


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
