"""A team's MLflow server on PostgreSQL goes away while several processes log, and comes back."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from team_server import MlflowServer, Postgres, missing_postgres, wait_until
from team_writer import STEPS, Writing, write

from talaria.tracking.mlflow_tracker import Tracker
from talaria.tracking.patience import Patience

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

WORKERS, RUNS = 3, 12
HASTY = (0.1, 0.3, 1.0)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    reason = missing_postgres()
    if reason:
        pytest.skip(reason)
    database = Postgres()
    try:
        database.start()
        yield database
    finally:
        database.close()


@pytest.fixture(scope="module")
def server(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    made = MlflowServer(postgres.uri, tmp_path_factory.mktemp("server"))
    try:
        made.start()
        yield made
    finally:
        made.kill()


def test_nothing_is_lost_or_doubled_when_the_server_goes_away(server: MlflowServer, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("kept")
    Tracker(server.uri, "team", None).run("first", "first", "pipeline")
    writings = [Writing(server.uri, "team", worker, RUNS, tmp_path, HASTY) for worker in range(WORKERS)]
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        writing = pool.map_async(write, writings)
        wait_until(lambda: len(list(tmp_path.glob("*.done"))) >= WORKERS)
        server.kill()
        disturbed = writing.get(120)
        server.start()
        repeated = pool.map(write, writings)
    for one in disturbed:
        assert one.unsent > 0
        assert len(one.warnings) == 1
        assert "does not answer" in one.warnings[0]
    assert [(one.warnings, one.unsent) for one in repeated] == [((), 0)] * WORKERS
    everything_is_there_once(server.uri)
    assert len(list(server.artifacts.rglob("note.txt"))) == WORKERS * RUNS


def everything_is_there_once(uri: str) -> None:
    import mlflow

    client: Any = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("team")
    runs = client.search_runs([experiment.experiment_id], "tags.talaria.kind = 'trial'")
    expected = [f"trial-{worker}-{number}" for worker in range(WORKERS) for number in range(RUNS)]
    assert sorted(run.info.run_name for run in runs) == sorted(expected)
    for run in runs:
        assert run.info.status == "FINISHED"
        assert set(run.data.params) == {"worker", "number"}
        for name in ("loss", "score"):
            steps = [point.step for point in client.get_metric_history(run.info.run_id, name)]
            assert sorted(steps) == list(range(STEPS))
        assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["note.txt"]


def test_a_database_that_goes_away_behind_its_server_loses_nothing(
    postgres: Postgres, server: MlflowServer, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Tracker(server.uri, "behind", None, Patience(0.1, 0.3, rest_s=0.0))
    run = tracker.run("k", "n", "train")
    postgres.stop()
    with caplog.at_level(logging.WARNING, "talaria"):
        tracker.metrics(run, {"loss": 1.0})
        tracker.metrics(run, {"loss": 0.5}, step=1)
    assert tracker.unsent == 2
    assert len(caplog.records) == 1
    postgres.start()
    for step, loss in enumerate((1.0, 0.5)):
        tracker.metrics(run, {"loss": loss}, step=step)
    (found,) = tracker.find_members("attributes.status = 'RUNNING'")
    assert found.metrics == {"loss": 0.5}
    assert tracker.unsent == 2


def test_the_database_itself_serves_as_a_tracking_address(postgres: Postgres, tmp_path: Path) -> None:
    tracker = Tracker(postgres.uri, "direct", tmp_path / "artifacts")
    (tmp_path / "note.txt").write_text("kept")
    run = tracker.run("k", "n", "train", params={"lr": 0.1})
    tracker.artifact(run, tmp_path / "note.txt")
    (found,) = tracker.find_members("params.lr = '0.1'")
    assert found.run_id == run.run_id
    assert len(list((tmp_path / "artifacts").rglob("note.txt"))) == 1
