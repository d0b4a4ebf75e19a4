"""Stage `ensemble`: members by an MLflow filter, weights learned on one subset, judged once on another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talaria.config.fingerprint import fingerprint
from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.fitting import Fits, Judgement, Tune, cross_fit, fit, judge
from talaria.ensemble.learning import Draw, Learner
from talaria.ensemble.members import Member, member_stores, pick_members
from talaria.ensemble.scoring import FusionSet
from talaria.ensemble.weights import Score, Weights
from talaria.errors import ConfigError
from talaria.evaluation.arrays import GroundTruth
from talaria.log import BOARD, Step
from talaria.pipeline.classifiers import classified_videos, classifiers_made_from
from talaria.pipeline.fusion_result import ENSEMBLE, Outcome, track_ensemble, write_ensemble
from talaria.pipeline.pools import made_from, pooled_set
from talaria.pipeline.session import Session
from talaria.prediction.stores import RawStore
from talaria.records import Dataset
from talaria.search.inner import (
    ANY_SPACE,
    REFINED_SPACE,
    SPACE,
    Space,
    search_postprocess,
    search_weights,
)
from talaria.seeds import content_seed
from talaria.store.artifact import Artifact
from talaria.store.files import read_json
from talaria.tracking.mlflow_tracker import BELIEF_TAG, DEFAULT_FILTER, MAPS, REFINED_PROPOSALS


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
    if len(members) == 1 and (asked := session.config.ensemble.members):
        raise ConfigError(
            f"ensemble.members: {asked!r} matches one run alone, {members[0].run_id} ({members[0].name}); "
            "expected at least two"
        )
    artifact = _artifact(session, members)
    if artifact.finished():
        session.skipped("ensemble", f"{len(members)} members")
    else:
        _fuse(session, dataset, members, artifact)
    session.track_once(artifact, lambda: track_ensemble(session, artifact))
    return Fused(artifact.folder)


def members_filter(session: Session) -> str:
    """The recipe's MLflow filter, by default the tag that people set, on runs of this pipeline.

    By default all detectors are members; where the recipe has refiners, these take the place of the detectors
    with maps.
    """
    left_out = MAPS if session.config.refiners else REFINED_PROPOSALS
    own = (
        f"{DEFAULT_FILTER} and tags.talaria.pipeline = '{session.config.run.name}' "
        f"and tags.{BELIEF_TAG} != '{left_out}'"
    )
    return session.config.ensemble.members or own


def _fuse(session: Session, dataset: Dataset, members: tuple[Member, ...], artifact: Artifact) -> None:
    stores = member_stores(members)
    data, classes = session.config.data, classified_videos(session, dataset)
    same = data.fit_subset == data.judge_subset

    def read(chosen: dict[str, RawStore], subset: str) -> FusionSet:
        truth = GroundTruth.of_videos(dataset.subset(subset), dataset.classes)
        return pooled_set(session, chosen, truth, classes.logits if classes else None)

    fit_set = read(stores, data.fit_subset)
    judge_set = fit_set if same else read(stores, data.judge_subset)
    with session.stage("ensemble", f"weights of {len(members)} members"):
        artifact.begin()
        released, judgement = _learned(session, artifact, fit_set, judge_set)
    used = {
        name: store
        for (name, store), weight in zip(stores.items(), released.learned.weights, strict=True)
        if weight > 0
    }
    final_set = judge_set if same or len(used) == len(stores) else read(used, data.judge_subset)
    outcome = Outcome(members, released, judgement, judge_set, final_set, classes, cross_fitted=same)
    write_ensemble(session, artifact, outcome)


def _learned(
    session: Session, artifact: Artifact, fit_set: FusionSet, judge_set: FusionSet
) -> tuple[Fits, Judgement]:
    section, same = session.config.ensemble, fit_set is judge_set
    space = ANY_SPACE if fit_set.joint is None else REFINED_SPACE if fit_set.refined else SPACE
    fits = 1 + (section.folds if same else 0)
    with BOARD.step("inner search", fits * (len(fit_set.members) + 2 + section.folds)) as step:
        tune = _tuner(session, artifact, step, space)
        learner = Learner(
            rounds=section.rounds,
            folds=section.folds,
            seed=content_seed(session.config.run.seed, "weights"),
            draw=_drawer(session, artifact, step),
            way=None if section.weights == "auto" else section.weights,
        )
        released = fit(fit_set, tune, learner, judged=() if same else judge_set.video_ids)
        if same:
            _, judgement = cross_fit(fit_set, tune, learner, folds=section.folds)
            return released, judgement
    return released, judge(judge_set, released)


def _artifact(session: Session, members: tuple[Member, ...]) -> Artifact:
    config = session.config
    classifiers = classifiers_made_from(session)
    fields = {
        "members": [(member.name, made_from(Path(member.predictions))) for member in members],
        "postprocess": config.postprocess,
        "ensemble": config.ensemble.model_dump(exclude={"members", "classifiers", "clip_logits"}),
        **({"classifiers": classifiers} if classifiers else {}),
        "fit_subset": config.data.fit_subset,
        "judge_subset": config.data.judge_subset,
        "seed": config.run.seed,
    }
    return session.artifact("ensemble", fingerprint(fields)[:8], "2", fields)


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
        return found

    return tune


def _drawer(session: Session, artifact: Artifact, step: Step) -> Draw:
    def draw(name: str, score: Score, num_members: int) -> Weights:
        found = search_weights(
            score,
            num_members,
            trials=session.config.ensemble.trials,
            seed=content_seed(session.config.run.seed, "inner", name),
            journal=artifact.folder / "inner" / f"{name}-weights.jsonl",
            identity=f"{artifact.fingerprint}/{name}",
        )
        step.advance()
        return found

    return draw
