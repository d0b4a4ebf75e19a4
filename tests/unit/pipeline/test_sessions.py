"""A run's folder: nothing is written before there is something to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from talaria.config.loading import load_recipe, load_resolved
from talaria.errors import ConfigError, DriftError
from talaria.pipeline.session import Session

MICRO = Path(__file__).resolve().parents[2] / "e2e" / "micro.yaml"


def session(home: Path, *overrides: str) -> Session:
    return Session(load_recipe(MICRO, overrides), home, {})


def finished(made: Session, **fields: Any) -> None:
    artifact = made.artifact("train", "node", "1", fields)
    with made.stage("train", "node"):
        artifact.begin()
        artifact.commit()


def test_the_resolved_recipe_is_there_as_soon_as_a_stage_works(tmp_path: Path) -> None:
    made = session(tmp_path, "run.seed=5")
    assert list(tmp_path.iterdir()) == []
    with made.stage("clips", "some"):
        assert load_resolved(tmp_path / "runs/micro/recipe.json") == made.config
    assert made.worked


def test_a_run_that_drifts_leaves_the_recipe_of_the_finished_one(tmp_path: Path) -> None:
    finished(session(tmp_path), lr=1.0)
    other = session(tmp_path, "run.seed=5")
    with pytest.raises(DriftError, match=r"lr was 1\.0, is now 2\.0"):
        other.artifact("train", "node", "1", {"lr": 2.0}).finished()
    assert load_resolved(tmp_path / "runs/micro/recipe.json").run.seed == 0
    assert not other.worked


def test_a_home_below_a_file_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match=r"cannot be written .* set run.root or TALARIA_HOME"),
        session(tmp_path / "file").stage("data", "videos"),
    ):
        raise AssertionError("the stage was entered")


def test_run_root_wins_over_the_home(tmp_path: Path) -> None:
    assert session(tmp_path, f"run.root={tmp_path / 'elsewhere'}").folder == tmp_path / "elsewhere/runs/micro"


def test_seconds_add_up_over_calls_and_count_a_stage_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), session(tmp_path).stage("train", "first"):
        raise ZeroDivisionError
    with session(tmp_path).stage("train", "second"):
        pass
    assert set(session(tmp_path).seconds()) == {"train"}
