"""The tracker on a real SQLite file: nothing twice, nothing lost, and no error where the server is away."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from talaria.errors import ConfigError
from talaria.tracking.mlflow_tracker import PREDICTIONS_TAG, RunRef, Tracker
from talaria.tracking.patience import Patience

HASTY = Patience(first_s=0.05, total_s=0.2, rest_s=60.0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for all tests, each with its own experiment: making the schema takes seconds."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def tracker(home: Path, request: pytest.FixtureRequest) -> Tracker:
    return tracker_of(home, request.node.name)


@pytest.fixture
def client(home: Path) -> Iterator[Any]:
    import mlflow

    return mlflow.MlflowClient(f"sqlite:///{home / 'sub' / 'mlflow.db'}")


def tracker_of(home: Path, experiment: str) -> Tracker:
    return Tracker(f"sqlite:///{home / 'sub' / 'mlflow.db'}", experiment, home / "artifacts")


def runs_of(client: Any, tracker: Tracker) -> list[Any]:
    experiment = client.get_experiment_by_name(tracker.experiment)
    return list(client.search_runs([experiment.experiment_id]))


def test_a_repeated_pipeline_makes_no_run_twice(home: Path, tracker: Tracker, client: Any) -> None:
    def pipeline(tracker: Tracker) -> tuple[RunRef, RunRef]:
        parent = tracker.run('it\'s/a "key"', "demo", "pipeline", params={"run": {"name": "demo"}})
        child = tracker.run("demo/bmn/f00", "demo/bmn", "train", parent, tags={"talaria.model": "bmn"})
        tracker.finish(child)
        return parent, child

    first = pipeline(tracker)
    assert pipeline(tracker_of(home, tracker.experiment)) == first
    by_id = {run.info.run_id: run for run in runs_of(client, tracker)}
    assert by_id.keys() == {first[0].run_id, first[1].run_id}
    child = by_id[first[1].run_id]
    assert child.data.tags["mlflow.parentRunId"] == first[0].run_id
    assert child.data.tags["talaria.key"] == "demo/bmn/f00"
    assert child.data.tags["talaria.kind"] == "train"
    assert child.data.tags["talaria.model"] == "bmn"
    assert (child.info.run_name, child.info.status) == ("demo/bmn", "FINISHED")
    assert by_id[first[0].run_id].data.params == {"run.name": "demo"}


def test_metrics_are_mirrored_once_whatever_happens(
    home: Path, tracker: Tracker, client: Any, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"step": step, "loss": 1.0 / (step + 1), "map@0.50": float("nan"), "note": "x"} for step in range(5)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[:3]) + '{"step": 3, "lo')
    run = tracker.run("k", "n", "train")
    tracker.sync_metrics(run, path)
    tracker.sync_metrics(run, path)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = tracker_of(home, tracker.experiment)
    again.sync_metrics(again.run("k", "n", "train"), path)
    history = client.get_metric_history(run.run_id, "loss")
    assert sorted((point.step, point.value) for point in history) == [(s, 1.0 / (s + 1)) for s in range(5)]
    assert len(client.get_metric_history(run.run_id, "map_0.50")) == 5


def test_a_metrics_file_that_is_not_there_yet_is_no_error(tracker: Tracker, tmp_path: Path) -> None:
    tracker.sync_metrics(tracker.run("k", "n", "train"), tmp_path / "none.jsonl")


def test_a_changed_metric_is_logged_and_an_equal_one_is_not(tracker: Tracker, client: Any) -> None:
    run = tracker.run("k", "n", "ensemble")
    for value in (0.25, 0.25, 0.5):
        tracker.metrics(run, {"average_map": value, "infinite": float("inf"), "label": "x"})
    assert [point.value for point in client.get_metric_history(run.run_id, "average_map")] == [0.25, 0.5]
    assert len(client.get_metric_history(run.run_id, "infinite")) == 1


def test_parameters_fit_mlflows_limits_and_stay_as_first_logged(tracker: Tracker, client: Any) -> None:
    many = {"optim": {f"p{index}": index for index in range(250)}, "space": {"a@b": "x" * 9000}}
    run = tracker.run("k", "n", "train", params=many)
    tracker.run("k", "n", "train", params={"optim": {"p0": "other"}, "new": [1, 2]})
    params = client.get_run(run.run_id).data.params
    assert len(params) == 250 + 1
    assert params["optim.p0"] == "0"
    assert len(params["space.a_b"]) == 6000


def test_files_and_folders_become_artifacts_below_the_given_root(
    home: Path, tracker: Tracker, client: Any, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "recipe.json").write_text('{"a": 1}')
    run = tracker.run("k", "n", "train")
    tracker.artifact(run, tmp_path / "recipe.json")
    tracker.artifact(run, tmp_path / "model", "model")
    assert [item.path for item in client.list_artifacts(run.run_id, "model")] == ["model/config.json"]
    stored = list((home / "artifacts").rglob("recipe.json"))
    assert any(path.read_text() == '{"a": 1}' and run.run_id in path.parts for path in stored)


def test_members_are_found_by_the_tag_that_a_person_sets(tracker: Tracker, client: Any) -> None:
    for name in ("a", "b", "c"):
        run = tracker.run(f"k{name}", name, "train", params={"lr": 0.1})
        tracker.tag(run, PREDICTIONS_TAG, f"/p/{name}")
        if name != "b":
            client.set_tag(run.run_id, "talaria.member", "yes")
    found = tracker.find_members()
    assert [(ref.name, ref.tags[PREDICTIONS_TAG], ref.params["lr"]) for ref in found] == [
        ("a", "/p/a", "0.1"),
        ("c", "/p/c", "0.1"),
    ]
    assert tracker.find_members("tags.talaria.member = 'maybe'") == []
    assert tracker.member_tags() == {"talaria.kind": ["train"], "talaria.member": ["yes"]}


@pytest.mark.parametrize("filter_string", ["tags.a = 'x' or tags.b = 'y'", "tags.a ==", "nonsense"])
def test_an_invalid_filter_is_a_config_error(tracker: Tracker, filter_string: str) -> None:
    with pytest.raises(ConfigError, match=r"ensemble\.members: MLflow cannot read the filter") as error:
        tracker.find_members(filter_string)
    assert len(error.value.problems) == 1
    assert "\n" not in error.value.problems[0]


def test_an_address_relative_to_wherever_one_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"tracking\.uri: found 'sqlite:///mlflow\.db', expected an absolute"
    ):
        Tracker("sqlite:///mlflow.db", "e", tmp_path)


def test_a_deleted_experiment_is_a_config_error(home: Path, tracker: Tracker, client: Any) -> None:
    tracker.run("k", "n", "train")
    client.delete_experiment(client.get_experiment_by_name(tracker.experiment).experiment_id)
    with pytest.raises(ConfigError, match=r"tracking\.experiment: .* was deleted"):
        tracker_of(home, tracker.experiment).run("k", "n", "train")


def test_a_server_that_is_away_costs_a_bounded_wait_and_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import mlflow  # noqa: F401  (its seconds of import are not part of the wait)

    tracker = Tracker(f"http://127.0.0.1:{free_port()}", "e", None, HASTY)
    began_s = time.monotonic()
    with caplog.at_level(logging.INFO, "talaria"):
        run = tracker.run("k", "n", "train")
        tracker.metrics(run, {"loss": 1.0})
        tracker.artifact(run, tmp_path)
        tracker.finish(run)
    assert run.run_id == ""
    assert time.monotonic() - began_s < 5
    assert len(caplog.records) == 1
    assert "does not answer" in caplog.text
    with pytest.raises(ConfigError, match=r"tracking\.uri: http://127\.0\.0\.1:\d+ does not answer"):
        tracker.find_members()


def test_what_could_not_be_sent_is_there_once_the_server_is_back(
    home: Path, client: Any, tmp_path: Path
) -> None:
    """A folder stands where the database should be; then it goes away."""
    database = tmp_path / "late.db"
    database.mkdir()
    tracker = Tracker(
        f"sqlite:///{database}", "late", tmp_path / "artifacts", Patience(0.05, 0.1, rest_s=0.0)
    )
    parent = tracker.run("parent", "pipeline", "pipeline")
    child = tracker.run("child", "training", "train", parent, params={"lr": 0.1})
    assert child.run_id == ""
    database.rmdir()
    source = home / "sub" / "mlflow.db"
    tracker_of(home, "late").run("x", "x", "train")
    database.write_bytes(source.read_bytes())
    tracker.metrics(child, {"loss": 0.5}, step=3)
    import mlflow

    late = mlflow.MlflowClient(f"sqlite:///{database}")
    found = {
        run.info.run_name: run
        for run in late.search_runs([late.get_experiment_by_name("late").experiment_id])
    }
    assert found["training"].data.metrics == {"loss": 0.5}
    assert found["training"].data.params == {"lr": "0.1"}
    assert found["training"].data.tags["mlflow.parentRunId"] == found["pipeline"].info.run_id


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
