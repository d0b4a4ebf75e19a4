"""The stage around a search: its place in the chain, who takes what was found, earlier trials in MLflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from talaria.config.fingerprint import plain
from talaria.config.loading import load_recipe
from talaria.config.schema import RunConfig
from talaria.errors import ConfigError, DriftError
from talaria.pipeline.run import STAGES, run_pipeline, stage_order
from talaria.pipeline.search import found_postprocess
from talaria.pipeline.search_tracking import earlier_trials
from talaria.pipeline.session import Session
from talaria.search.trials import TrialResult
from talaria.search.warm_start import EarlierTrial
from talaria.store.files import write_json
from talaria.tracking.mlflow_tracker import TRIAL_TAG, Tracker

RECIPES = Path(__file__).resolve().parents[3] / "jobs" / "recipes"
BMN = load_recipe(RECIPES / "sweep_bmn.yaml")
LR, POWER = "detectors.bmn64.optim.lr", "postprocess.boundary_power"


def finished(folder: Path, config: RunConfig, **changes: Any) -> Path:
    """A run whose search has ended, as its record and its best trial tell."""
    assert config.search is not None
    search = folder / "runs" / config.run.name / "search" / config.search.node_name
    not_identity = {"num_trials", "apply_to", "max_gflop", "max_concurrent", "workers_per_trial"}
    made = {**plain(config.search.model_dump(exclude=not_identity)), **changes}
    write_json(search / "record.json", {"fields": {"search": made}})
    trials = [
        TrialResult("trial_00001", {LR: 0.002, POWER: 0.25}, "finished", (0.5,), 3.0),
        TrialResult("trial_00000", {LR: 0.004, POWER: 0.75}, "finished", (0.4,), 1.0),
    ]
    write_json(search / "best.json", [plain(trial) for trial in trials])
    return folder


def test_a_refiner_is_searched_after_the_predictions_that_it_learns_from() -> None:
    assert stage_order(BMN) == STAGES
    late = stage_order(load_recipe(RECIPES / "sweep_tcanet.yaml"))
    assert sorted(late) == sorted(STAGES)
    assert late.index("predict") < late.index("search") < late.index("refine")


def test_an_ensemble_alone_takes_the_post_processing_that_a_search_found(tmp_path: Path) -> None:
    finished(tmp_path, BMN)
    with Session(BMN, tmp_path, {}) as session:
        found_postprocess(session)
        assert session.config.postprocess.boundary_power == 0.25
        assert session.config.detectors == BMN.detectors
    cheap = load_recipe(RECIPES / "sweep_bmn.yaml", ["search.max_gflop=2.0"])
    with Session(cheap, tmp_path, {}) as session:
        found_postprocess(session)
        assert session.config.postprocess.boundary_power == 0.75


def test_a_search_of_another_recipe_or_none_is_an_error(tmp_path: Path) -> None:
    with Session(BMN, tmp_path, {}) as session:
        with pytest.raises(ConfigError, match=r"search/bmn64 has not ended in this run; run jobs/sweep\.py"):
            found_postprocess(session)
        finished(tmp_path, BMN, epochs=99)
        with pytest.raises(DriftError, match="made with another search: epochs was 99, is now 10"):
            found_postprocess(session)


def test_a_sweep_needs_a_search(tmp_path: Path) -> None:
    config = load_recipe(RECIPES / "sweep_bmn.yaml", ["search=null"])
    with pytest.raises(ConfigError, match="search: missing; expected a section"):
        run_pipeline(config, tmp_path, {}, until="search", dry_run=True)


def test_earlier_trials_are_read_from_mlflow(tmp_path: Path) -> None:
    tracker = Tracker(f"sqlite:///{tmp_path / 'mlflow.db'}", "trials", tmp_path / "artifacts")
    result = TrialResult("trial_00000", {"optim.lr": 0.01}, "finished", (0.1, 0.2), 1.5)
    texts = {"good": EarlierTrial("here", result).text, "odd": json.dumps({"a": 1})}
    for name, text in texts.items():
        tags = {"talaria.pipeline": "sweep", TRIAL_TAG: text}
        tracker.finish(tracker.run(name, name, "trial", tags=tags))
    tracker.finish(tracker.run("train", "train", "train", tags={TRIAL_TAG: texts["good"]}))
    (found,) = earlier_trials(tracker, "tags.talaria.pipeline = 'sweep'")
    assert (found.judged_on, found.result.name, found.result.scores) == ("here", "good", (0.1, 0.2))
    assert not found.result.own
    assert earlier_trials(tracker, "tags.talaria.pipeline = 'other'") == []
    with pytest.raises(ConfigError, match=r"search\.warm_start: MLflow cannot read the filter"):
        earlier_trials(tracker, "nonsense")
