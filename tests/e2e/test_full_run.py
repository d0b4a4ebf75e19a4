"""The whole chain on real files with real Ray and MLflow: what a person finds afterwards."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from by_hand import FullRun, contents, stamps

from talaria.data.annotations import load_annotations
from talaria.evaluation.arrays import Detections, GroundTruth
from talaria.evaluation.detection import detection_map
from talaria.evaluation.formats import read_detections

pytestmark = pytest.mark.timeout(400)

KINDS = {"pipeline": 1, "finetune": 1, "train": 3, "trial": 2, "ensemble": 1}


def test_it_ends_well_and_says_nothing_on_stderr(undisturbed: FullRun) -> None:
    assert undisturbed.ended.returncode == 0, undisturbed.ended.stderr
    assert undisturbed.ended.stderr == ""


def test_the_console_has_the_table_the_failures_and_what_to_do_next(undisturbed: FullRun) -> None:
    said = undisturbed.ended.stdout
    for stage in ("data", "clips", "finetune", "features", "search", "train", "predict", "ensemble"):
        assert f"{stage}: done in" in said
    for words in (
        "slowfast-bmn12",
        "equal weights",
        "learned weights",
        "demo_training_0007",
        "jobs/ensemble.py",
    ):
        assert words in said
    assert "INFO" not in said
    assert "\x1b" not in said, "escape codes where there is no terminal"


def test_the_summary_holds_what_was_promised(undisturbed: FullRun) -> None:
    summary = undisturbed.home.summary()
    assert [member["name"] for member in summary["members"]] == ["slowfast-bmn12", "slowfast-bmn16"]
    assert all(member["run_id"] and 0 <= member["average_map"] <= 1 for member in summary["members"])
    assert summary["best_member_map"] == max(member["average_map"] for member in summary["members"])
    assert 0 <= summary["equal_weights_map"] <= 1
    assert sum(summary["weights"].values()) == pytest.approx(1)
    assert set(summary["weights"]) == {"slowfast-bmn12", "slowfast-bmn16"}
    assert summary["subset"] == "testing"
    assert set(summary["seconds"]) == {
        "data", "clips", "finetune", "features", "search", "train", "predict", "pools", "ensemble",
    }  # fmt: skip
    assert all(spent_s >= 0 for spent_s in summary["seconds"].values())


def test_the_broken_and_the_short_video_are_named_with_their_reasons(undisturbed: FullRun) -> None:
    failed = {row["video_id"]: row for row in undisturbed.home.summary()["failed_videos"]}
    assert set(failed) == {"demo_training_0006", "demo_training_0007"}
    assert failed["demo_training_0006"]["stage"] == "length"
    assert "annotated" in failed["demo_training_0006"]["reason"]
    assert failed["demo_training_0007"]["stage"] == "decode"
    assert "cannot be opened as a video" in failed["demo_training_0007"]["reason"]


def test_the_detections_are_worth_what_the_summary_says(undisturbed: FullRun) -> None:
    summary = undisturbed.home.summary()
    dataset = load_annotations(summary["annotations"], None).dataset
    truth = GroundTruth.of_videos(dataset.subset(summary["subset"]), dataset.classes)
    results = read_detections(Path(summary["detections"]))
    found = Detections.of_results(results, truth)
    assert detection_map(truth, found).average_map == pytest.approx(summary["learned_weights_map"], abs=1e-6)
    assert summary["learned_weights_map"] > 0


def test_mlflow_holds_a_parent_and_a_child_for_every_piece_of_work(undisturbed: FullRun) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(undisturbed.home.summary()["tracking_uri"])
    experiment = client.get_experiment_by_name("talaria")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    by_kind: dict[str, list[str]] = {}
    for run in runs:
        by_kind.setdefault(run.data.tags["talaria.kind"], []).append(run.info.run_id)
    assert {kind: len(ids) for kind, ids in by_kind.items()} == KINDS
    (parent,) = by_kind["pipeline"]
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.info.run_id == parent or run.data.tags["mlflow.parentRunId"] == parent
        assert run.data.params
        assert run.data.metrics
    for run_id in (*by_kind["train"], *by_kind["finetune"]):
        epochs = [point.step for point in client.get_metric_history(run_id, "loss_total")]
        assert epochs == [0, 1]
        assert {item.path for item in client.list_artifacts(run_id, "model")} == {
            "model/model.json",
            "model/model.safetensors",
        }
    assert [item.path for item in client.list_artifacts(parent)] == ["recipe.json"]


def test_members_are_tagged_with_the_address_of_their_raw_predictions(undisturbed: FullRun) -> None:
    from mlflow import MlflowClient

    summary = undisturbed.home.summary()
    client = MlflowClient(summary["tracking_uri"])
    for member in summary["members"]:
        tags = client.get_run(member["run_id"]).data.tags
        assert tags["talaria.member"] == "yes"
        assert list(Path(tags["talaria.predictions"]).glob("*.parquet"))


def test_members_show_in_mlflow_and_in_the_console_what_people_pick_them_by(undisturbed: FullRun) -> None:
    from mlflow import MlflowClient

    summary = undisturbed.home.summary()
    client = MlflowClient(summary["tracking_uri"])
    for member in summary["members"]:
        run = client.get_run(member["run_id"])
        assert run.data.metrics["average_map"] == pytest.approx(member["average_map"])
        assert 0 < run.data.metrics["fit_auc"] < 100
        assert all(run.data.metrics[name] > 0 for name in ("gflop", "parameters", "training_s"))
        assert (run.data.tags["talaria.features"], run.data.tags["talaria.subset"]) == ("slowfast", "testing")
        assert "member.png" in [item.path for item in client.list_artifacts(member["run_id"])]
    shown = undisturbed.home.run("leaderboard", recipe=None)
    assert (shown.returncode, shown.stderr) == (0, "")
    for member in summary["members"]:
        assert member["name"] in shown.stdout
        assert f"{100 * member['average_map']:.2f}" in shown.stdout
    assert "average mAP on testing" in shown.stdout


def test_a_second_run_does_nothing_says_so_and_is_quick(undisturbed: FullRun) -> None:
    runs = undisturbed.home.path / "runs"
    before, bytes_before = stamps(runs / "micro"), contents(runs, "micro/**/*")
    began_s = time.monotonic()
    again = undisturbed.home.run("full_pipeline")
    assert time.monotonic() - began_s < 25
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""
    assert "nothing was done again" in again.stdout
    assert "ray:" not in again.stdout
    assert "done in" not in again.stdout
    assert stamps(runs / "micro") == before
    assert contents(runs, "micro/**/*") == bytes_before


def test_nothing_but_the_results_is_left(undisturbed: FullRun) -> None:
    runs = undisturbed.home.folder()
    left = [str(path) for path in runs.rglob("*") if path.name.endswith(".tmp") or path.name == "parts"]
    assert [path for path in left if list(Path(path).rglob("*")) or Path(path).is_file()] == []
