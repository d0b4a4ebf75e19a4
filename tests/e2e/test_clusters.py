"""The pipeline on clusters that run already: submitted as a job, and by hand on two nodes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from by_hand import MICRO, ROOT, FullRun, Home, MakeHome, contents
from clusters import LocalCluster, bare_python
from own_data import LABELS, write_own_data


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A head node with three logical CPUs."""
    cluster = LocalCluster(bare_python(tmp_path_factory.mktemp("bare") / "venv"))
    try:
        cluster.start_head(cpus=3)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a fresh clone holds of the code."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("platform", "models", "jobs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(MICRO, folder / "jobs" / "recipes")
    return folder


def test_the_nodes_do_not_have_the_project(cluster: LocalCluster) -> None:
    probe = [str(cluster.python), "-c", "import ray, torch, av; import talaria"]
    ended = subprocess.run(
        probe, env=cluster.environment, cwd="/", capture_output=True, text=True, check=False
    )
    assert "No module named 'talaria'" in ended.stderr


@pytest.mark.timeout(500)
def test_a_submitted_job_runs_the_whole_recipe_on_other_data(
    cluster: LocalCluster, checkout: Path, tmp_path: Path
) -> None:
    videos, annotations = write_own_data(tmp_path / "own")
    flags = [f"data.videos={videos}", f"data.annotations={annotations}", "run.name=own"]
    ended = cluster.ray(
        "job", "submit", f"--address=http://127.0.0.1:{cluster.dashboard_port}", "--working-dir", ".",
        "--runtime-env-json", json.dumps({"env_vars": {"TALARIA_HOME": str(tmp_path)}}), "--",
        "python", "jobs/full_pipeline.py", "--recipe", "jobs/recipes/micro.yaml",
        *(part for flag in flags for part in ("--set", flag)),
        cwd=checkout,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary = json.loads((tmp_path / "runs" / "own" / "summary.json").read_text())
    assert summary["classes"] == sorted(LABELS)
    assert summary["failed_videos"] == []
    assert summary["annotations"] == str(annotations)
    results = json.loads(Path(summary["detections"]).read_text())["results"]
    assert set(results) == {"te-0", "te-1", "te-2"}
    assert all(
        0 <= found["segment"][0] < found["segment"][1] <= 6.5 for row in results.values() for found in row
    )


@pytest.mark.timeout(500)
def test_two_nodes_and_one_make_the_same_features_models_and_predictions(
    cluster: LocalCluster, make_home: MakeHome, undisturbed: FullRun
) -> None:
    cluster.add_node(cpus=1)
    home = make_home("nodes")
    home.python = str(cluster.python)
    home.variables = {**cluster.environment, "RAY_ADDRESS": cluster.address, "TALARIA_HOME": str(home.path)}
    step_by_step(home)
    run, expected = home.folder(), undisturbed.home.folder()
    for kind in ("features/*/videos/*.parquet", "finetune/*/*.safetensors", "train/*/*.safetensors"):
        assert contents(run, kind) == contents(expected, kind)
    assert contents(run, "predict/*/raw/*.parquet") == contents(expected, "predict/*/raw/*.parquet")


def step_by_step(home: Home) -> None:
    """Job after job by hand; each stops where its name says, and the next goes on from there."""
    made = ["clips", "finetune", "features", "search", "train", "predict"]
    steps = {"extract_features": 3, "sweep": 4, "train": 5, "predict": 6}
    for job, count in steps.items():
        ended = home.run(job)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ended.stderr == ""
        there = [stage for stage in made if list(home.folder().glob(f"{stage}/*/record.json"))]
        assert there == made[:count]
    assert attempts(home) == 1
    assert home.run("extract_features", "--retry-failed").returncode == 0
    assert attempts(home) == 2
    assert "finished earlier, skipped (2 members)" in home.run("predict").stdout


def attempts(home: Home) -> int:
    """How often the broken video was tried."""
    rows = (home.folder() / "features" / "slowfast" / "ledger.jsonl").read_text().splitlines()
    tried = {row["video_id"]: row["attempts"] for row in map(json.loads, rows)}
    assert all(count == 1 for name, count in tried.items() if name != "demo_training_0007")
    return int(tried["demo_training_0007"])
