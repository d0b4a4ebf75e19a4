"""`kill -9` of the driver at any stage, then the same command: it goes on and ends with the same bytes."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from by_hand import SAME_BYTES, FullRun, Home, MakeHome, contents, lines, stamps


def in_features(run: Path) -> bool:
    """Some videos have their features, others not yet."""
    return lines(run / "features/slowfast/ledger.jsonl") >= 2


def in_search(run: Path) -> bool:
    """The first trial has begun."""
    return bool(list(run.glob("search/*/trials/*/metrics.jsonl")))


def in_training(run: Path) -> bool:
    """A training has reported an epoch and is not finished."""
    return any(
        lines(metrics) and not (metrics.parent / "record.json").exists()
        for metrics in run.glob("train/*/metrics.jsonl")
    )


def in_ensemble(run: Path) -> bool:
    """The inner search has begun."""
    return any(lines(path) > 4 for path in run.glob("ensemble/*/inner/*.jsonl"))


BUSY = {"features": in_features, "search": in_search, "training": in_training, "ensemble": in_ensemble}


def ledger_rows(run: Path) -> list[dict[str, Any]]:
    """The rows of the features' ledger."""
    path = run / "features/slowfast/ledger.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def ledger_attempts(run: Path) -> dict[str, int]:
    """How often each video was tried."""
    return {row["video_id"]: row["attempts"] for row in ledger_rows(run)}


def finished_files(run: Path) -> dict[str, tuple[int, int]]:
    """When the files of finished work were written: shards with a ledger row, and models with a record."""
    shards = [
        f"features/slowfast/videos/{row['video_id']}.parquet" for row in ledger_rows(run) if row["num_units"]
    ]
    models = [
        str(record.with_name("model.safetensors").relative_to(run))
        for stage in ("finetune", "train")
        for record in run.glob(f"{stage}/*/record.json")
    ]
    written = stamps(run)
    return {name: written[name] for name in (*shards, *models)}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stages", [("training",), tuple(BUSY)], ids=["one", "every"])
def test_stopped_and_killed_it_goes_on_and_ends_with_the_same_bytes(
    undisturbed: FullRun, make_home: MakeHome, stages: tuple[str, ...]
) -> None:
    home = make_home("killed")
    run = home.folder()
    stop_in_finetuning(home)
    for stage in stages:
        assert home.signal_when(lambda busy=BUSY[stage]: busy(run)) == -signal.SIGKILL
        done = finished_files(run)
        attempts = ledger_attempts(run)
    last = home.run("full_pipeline")
    assert last.returncode == 0, last.stderr
    assert {name: stamp for name, stamp in stamps(run).items() if name in done} == done
    assert {name: count for name, count in ledger_attempts(run).items() if name in attempts} == attempts
    assert set(ledger_attempts(run).values()) == {1}
    assert contents(run, *SAME_BYTES) == contents(undisturbed.home.folder(), *SAME_BYTES)
    compare_summaries(home, undisturbed.home)


def stop_in_finetuning(home: Home) -> None:
    """Ctrl-C while a training runs: one sentence, exit code 130, and soon."""
    metrics = home.folder() / "finetune/slowfast/metrics.jsonl"
    assert home.signal_when(lambda: lines(metrics) >= 1, signal.SIGINT) == 130
    said = (home.path / "driver.txt").read_text()
    assert said.splitlines()[-1] == "stopped; the same command goes on from here"
    assert "Traceback" not in said
    assert "finetune: done" not in said


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
