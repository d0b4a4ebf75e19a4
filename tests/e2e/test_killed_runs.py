"""`kill -9` of the driver at any stage, then the same command: it goes on and ends with the same bytes."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from by_hand import FullRun, Home, MakeHome, contents, lines, stamps

SAME_BYTES = (
    "features/*/videos/*.parquet",
    "features/*/contract.json",
    "finetune/*/model.safetensors",
    "train/*/model.safetensors",
    "predict/*/raw/*.parquet",
    "ensemble/*/detections.json",
)


def journal(folder: Path) -> dict[str, int]:
    """Attempts of every video in a stage's ledger."""
    rows = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    return {row["video_id"]: row["attempts"] for row in rows}


def in_features(run: Path) -> Callable[[], bool]:
    """Some videos have their features, others not yet."""
    return lambda: lines(run / "features/slowfast/ledger.jsonl") >= 2


def in_search(run: Path) -> Callable[[], bool]:
    """The first trial has begun, and Tune has taken its snapshot of it."""
    return lambda: bool(
        list(run.glob("search/*/trials/*/metrics.jsonl"))
        and list(run.glob("search/*/tune/experiment_state-*"))
    )


def in_training(run: Path) -> Callable[[], bool]:
    """One training is finished, another has reported an epoch."""
    return lambda: any(
        lines(metrics) and not (metrics.parent / "record.json").exists()
        for metrics in run.glob("train/*/metrics.jsonl")
    )


def in_ensemble(run: Path) -> Callable[[], bool]:
    """The inner search has begun."""
    return lambda: any(lines(path) > 4 for path in run.glob("ensemble/*/inner/*.jsonl"))


@pytest.mark.timeout(900)
def test_killed_in_every_stage_it_goes_on_and_ends_with_the_same_bytes(
    undisturbed: FullRun, make_home: MakeHome
) -> None:
    home = make_home("killed")
    run = home.folder()

    assert home.kill_when(in_features(run)) == -signal.SIGKILL
    finished = journal(run / "features/slowfast")
    shards = {name: stamps(run)[f"features/slowfast/videos/{name}.parquet"] for name in whole(run)}
    backbone = stamps(run / "finetune")

    assert home.kill_when(in_search(run)) == -signal.SIGKILL
    assert {name: stamps(run)[f"features/slowfast/videos/{name}.parquet"] for name in shards} == shards
    attempts = journal(run / "features/slowfast")
    assert {name: attempts[name] for name in finished} == finished
    assert set(attempts.values()) == {1}
    assert len(attempts) == 14

    assert home.kill_when(in_training(run)) == -signal.SIGKILL
    assert stamps(run / "finetune") == backbone
    features = stamps(run / "features")
    trained = {record.parent.name: stamps(record.parent) for record in run.glob("train/*/record.json")}

    assert home.kill_when(in_ensemble(run)) == -signal.SIGKILL
    assert stamps(run / "features") == features
    assert {name: stamps(run / "train" / name) for name in trained} == trained
    predicted = stamps(run / "predict")

    last = home.run("full_pipeline")
    assert last.returncode == 0, last.stderr
    assert stamps(run / "predict") == predicted
    assert "ray: starting" not in last.stdout
    assert contents(run, *SAME_BYTES) == contents(undisturbed.home.folder(), *SAME_BYTES)
    compare_summaries(home, undisturbed.home)


def whole(run: Path) -> list[str]:
    """Videos whose ledger row says that their features are there."""
    rows = [json.loads(line) for line in (run / "features/slowfast/ledger.jsonl").read_text().splitlines()]
    return [row["video_id"] for row in rows if row["status"] == "done"]


def compare_summaries(killed: Home, undisturbed: Home) -> None:
    """The same scores, weights and failures; MLflow has no run twice."""
    from mlflow import MlflowClient

    found, expected = killed.summary(), undisturbed.summary()
    for name in ("learned_weights_map", "equal_weights_map", "weights", "best_member_map"):
        assert found[name] == expected[name]
    assert [row["video_id"] for row in found["failed_videos"]] == ["demo_training_0006", "demo_training_0007"]
    counts = []
    for summary in (found, expected):
        client = MlflowClient(summary["tracking_uri"])
        experiment = client.get_experiment_by_name("talaria")
        runs = client.search_runs([experiment.experiment_id])
        counts.append(sorted(run.data.tags["talaria.kind"] for run in runs))
        assert {run.info.status for run in runs} == {"FINISHED"}
    assert counts[0] == counts[1]


@pytest.mark.timeout(300)
def test_ctrl_c_ends_with_130_and_one_sentence(make_home: MakeHome) -> None:
    home = make_home("stopped")
    run = home.folder()
    began = lambda: lines(run / "finetune/slowfast/metrics.jsonl") >= 1  # noqa: E731
    assert home.kill_when(began, signal.SIGINT) == 130
    said = (home.path / "driver.txt").read_text()
    assert "stopped; the same command goes on from here" in said
    assert "Traceback" not in said
