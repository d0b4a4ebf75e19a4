"""A run's folder: nothing is written before there is something to do."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from talaria.config.loading import load_recipe, load_resolved
from talaria.errors import ConfigError, DriftError
from talaria.pipeline.session import Session
from talaria.tracking.mlflow_tracker import RunRef, Tracker
from talaria.tracking.patience import Patience

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


def tracked(home: Path, uri: str, rest_s: float) -> int:
    """One call of a pipeline whose work is finished; returns how much MLflow did not get."""
    made = session(home, f"tracking.uri={uri}")
    made.tracker = Tracker(uri, "talaria", home / "artifacts", Patience(0.01, 0.02, rest_s))

    def work(number: int) -> RunRef:
        artifact = artifacts[number]
        run = made.child(artifact, "train", {"number": number}, {})
        made.tracker.metrics(run, {"loss": 0.5}, step=number)
        made.tracker.artifact(run, artifact.folder / "record.json", "model")
        made.tracker.finish(run)
        return run

    artifacts = [made.artifact("train", f"node{number}", "1", {"lr": 1.0}) for number in range(2)]
    for number, artifact in enumerate(artifacts):
        if not artifact.finished():
            with made.stage("train", "node"):
                artifact.begin()
                artifact.commit()
        made.track_once(artifact, lambda number=number: work(number))
    return made.tracker.unsent


@pytest.mark.parametrize("rest_s", [0.0, 60.0])
def test_what_a_server_missed_all_the_time_is_sent_by_the_next_call_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rest_s: float
) -> None:
    """A folder stands where the database should be; then it goes away."""
    database = tmp_path / "late.db"
    database.mkdir()
    uri = f"sqlite:///{database}"
    with caplog.at_level(logging.WARNING, "talaria"):
        assert tracked(tmp_path, uri, rest_s) > 0
        assert [record for record in caplog.records if "does not answer" in record.message] == caplog.records
        assert len(caplog.records) == 1
        database.rmdir()
        assert tracked(tmp_path, uri, rest_s) == 0
        assert len(caplog.records) == 1
    found = Tracker(uri, "talaria", None).find_members("tags.talaria.kind = 'train'")
    assert sorted((run.params["number"], run.metrics["loss"]) for run in found) == [("0", 0.5), ("1", 0.5)]
    assert len(list((tmp_path / "artifacts").rglob("record.json"))) == 2
    assert len(list((tmp_path / "artifacts").rglob("recipe.json"))) == 1


def test_a_call_that_is_sent_in_part_is_sent_again(tmp_path: Path) -> None:
    """The server goes away in the middle of the work and is back before its end."""
    database = tmp_path / "m.db"
    uri = f"sqlite:///{database}"
    made = session(tmp_path, f"tracking.uri={uri}")
    made.tracker = Tracker(uri, "talaria", tmp_path / "artifacts", Patience(0.01, 0.02, rest_s=0.0))
    finished(made, lr=1.0)
    artifact = made.artifact("train", "node", "1", {"lr": 1.0})

    def work(gap: bool) -> RunRef:
        run = made.child(artifact, "train", {}, {})
        if gap:
            made.tracker.server.attempt("nothing", lambda client: (_ for _ in ()).throw(OSError("away")))
        else:
            made.tracker.metrics(run, {"loss": 0.5})
        made.tracker.finish(run)
        return run

    made.track_once(artifact, lambda: work(gap=True))
    made.track_once(artifact, lambda: work(gap=False))
    (found,) = made.tracker.find_members("tags.talaria.kind = 'train'")
    assert found.metrics == {"loss": 0.5}
