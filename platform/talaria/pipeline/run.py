"""The stages in order. Each finds out by itself what is missing; nothing finished is done again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from talaria.config.schema import RunConfig
from talaria.errors import ConfigError
from talaria.pipeline.backbones import cut_missing_clips, extract_missing, finetune_missing
from talaria.pipeline.classifiers import classify_missing
from talaria.pipeline.data import prepare_dataset
from talaria.pipeline.end_to_end import frames_missing, predict_end_to_end, train_end_to_end
from talaria.pipeline.fusion import fuse_and_judge
from talaria.pipeline.heads import train_missing
from talaria.pipeline.member_scores import track_alone
from talaria.pipeline.predictions import predict_missing
from talaria.pipeline.refiners import propose_missing, refine_missing
from talaria.pipeline.search import found_postprocess, search_missing, searches_refiner
from talaria.pipeline.search_table import show_search
from talaria.pipeline.session import Session
from talaria.pipeline.summary import show_summary, write_summary
from talaria.pipeline.weights import starting_weights
from talaria.records import Dataset

Stage = Literal[
    "data",
    "weights",
    "clips",
    "finetune",
    "features",
    "frames",
    "search",
    "train",
    "predict",
    "refine",
    "report",
]
STAGES: tuple[Stage, ...] = get_args(Stage)


def run_pipeline(
    config: RunConfig,
    home: Path,
    runtime_env: Mapping[str, Any],
    until: Stage = "report",
    dry_run: bool = False,
    retry_failed: bool = False,
) -> None:
    """Run a recipe up to and including a stage.

    Args:
        config: the resolved recipe.
        home: folder below which runs/ lies, unless the recipe sets run.root.
        runtime_env: how code reaches Ray's workers, from jobs/_bootstrap.py.
        until: the last stage to run.
        dry_run: print the resolved recipe and the stages, do nothing.
        retry_failed: try the videos again that failed in an earlier call.

    Raises:
        TalariaError: everything that the user can mend.
    """
    if until == "search" and config.search is None:
        raise ConfigError("search: missing; expected a section such as that of jobs/recipes/sweep_bmn.yaml")
    if dry_run:
        stages = stage_order(config)
        _show_plan(config, stages[: stages.index(until) + 1])
        return
    with Session(config, home, runtime_env) as session:
        for stage in chain(session, retry_failed):
            if stage == until:
                break
        if until == "report":
            show_summary(session)
        if until == "search":
            show_search(session)


def stage_order(config: RunConfig) -> tuple[Stage, ...]:
    """The stages as `chain` takes them: a refiner is searched once there are proposals."""
    if not searches_refiner(config):
        return STAGES
    later: tuple[Stage, ...] = ("search", "refine", "report")
    return (*(stage for stage in STAGES if stage not in later), *later)


def chain(session: Session, retry_failed: bool) -> Iterator[Stage]:
    """The stages one after the other, each with the result of those before; yields when one is finished."""
    dataset = prepare_dataset(session)
    yield "data"
    weights = starting_weights(session, dataset)
    yield "weights"
    clips = cut_missing_clips(session, dataset, retry_failed)
    yield "clips"
    backbones = finetune_missing(session, clips, weights)
    yield "finetune"
    stores = extract_missing(session, dataset, backbones, retry_failed)
    yield "features"
    frames = frames_missing(session, dataset, retry_failed)
    yield "frames"
    late = searches_refiner(session.config)
    if not late:
        search_missing(session, dataset, stores, {})
        yield "search"
    heads = train_missing(session, dataset, stores)
    whole = train_end_to_end(session, dataset, frames, backbones)
    yield "train"
    classify_missing(session, dataset, stores, heads)
    detectors = predict_missing(session, dataset, stores, heads)
    predict_end_to_end(session, dataset, frames, whole)
    yield "predict"
    offered = propose_missing(session, dataset, stores, heads, detectors)
    if late:
        search_missing(session, dataset, stores, offered)
        yield "search"
    refine_missing(session, dataset, stores, heads, offered)
    yield "refine"
    _judge(session, dataset)
    yield "report"


def fuse_members(
    config: RunConfig, home: Path, runtime_env: Mapping[str, Any], dry_run: bool = False
) -> None:
    """Only the last link: learn weights over the members that the filter finds, judge them, show the table.

    Raises:
        TalariaError: everything that the user can mend.
    """
    if dry_run:
        _show_plan(config, ("data", "report"))
        return
    with Session(config, home, runtime_env) as session:
        dataset = prepare_dataset(session)
        found_postprocess(session)
        _judge(session, dataset)
        show_summary(session)


def _judge(session: Session, dataset: Dataset) -> None:
    fused = fuse_and_judge(session, dataset)
    track_alone(session, fused)
    write_summary(session, dataset, fused)


def _show_plan(config: RunConfig, stages: Sequence[Stage]) -> None:
    print(json.dumps(config.model_dump(mode="json"), indent=1))
    print("stages:", " -> ".join(stages))
