"""The pipeline on clusters that run already: submitted as a job, and by hand on two nodes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from by_hand import MICRO, ROOT, SAME_BYTES, FullRun, MakeHome, contents
from clusters import LocalCluster, bare_python, free_port
from own_data import write_own_data


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Two nodes, of which neither has the CPUs for everything."""
    cluster = LocalCluster(bare_python(tmp_path_factory.mktemp("bare") / "venv"))
    try:
        cluster.start_head(cpus=1)
        cluster.add_node(cpus=2)
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
def test_a_submitted_job_on_two_nodes_gives_the_bytes_of_one_machine(
    cluster: LocalCluster, checkout: Path, tmp_path: Path, undisturbed: FullRun
) -> None:
    ended = cluster.submitted(
        "job", "submit", f"--address=http://127.0.0.1:{cluster.dashboard_port}", "--working-dir", ".",
        "--runtime-env-json", json.dumps({"env_vars": {"TALARIA_HOME": str(tmp_path)}}), "--",
        "python", "jobs/full_pipeline.py", "--recipe", "jobs/recipes/micro.yaml",
        cwd=checkout,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    run, expected = tmp_path / "runs" / "micro", undisturbed.home.folder()
    assert contents(run, *SAME_BYTES) == contents(expected, *SAME_BYTES)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["learned_weights_map"] == undisturbed.home.summary()["learned_weights_map"]


@pytest.mark.slow
def test_a_job_by_hand_takes_its_code_to_the_cluster_it_joins(
    cluster: LocalCluster, make_home: MakeHome
) -> None:
    """The nodes do not have the project, and the driver is started far from it."""
    home = make_home("joined")
    home.python = str(cluster.python)
    home.variables = {**cluster.environment, "RAY_ADDRESS": cluster.address, "TALARIA_HOME": str(home.path)}
    videos, annotations = write_own_data(home.path / "own")
    (videos / "tr-0.mkv").write_bytes(b"")
    (videos / "tr-1.mp4").write_bytes(b"")
    (videos / "tr-2.avi").write_bytes(b"")
    flags = [f"data.videos={videos}", f"data.annotations={annotations}", "run.name=own"]
    ended = home.run("extract_features", *(part for flag in flags for part in ("--set", flag)))
    assert ended.returncode == 2, ended.stdout + ended.stderr
    problems = ended.stderr.splitlines()
    assert problems[0] == "error: clips: 3 of 6 videos failed; data.max_failed_frac allows 0.3"
    assert len(problems) == 4


def test_no_cluster_at_the_address(make_home: MakeHome) -> None:
    home = make_home("alone")
    home.variables = {"RAY_ADDRESS": f"127.0.0.1:{free_port()}"}
    ended = home.run("full_pipeline")
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "error: RAY_ADDRESS: no cluster answers at" in ended.stderr
    assert "Traceback" not in ended.stderr
