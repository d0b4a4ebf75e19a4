"""The cluster descriptions: Ray accepts them, catches a typo, and nodes get dependencies, token, folder."""

from __future__ import annotations

import copy
import logging
import os
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray._private.runtime_env.packaging import create_package
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parents[2]
CLOUD, PREMISES, KUBERAY = (
    ROOT / name for name in ("ray_cluster.yaml", "docs/guides/on_premises.yaml", "docs/guides/kuberay.yaml")
)
LAUNCHED = pytest.mark.parametrize("path", [CLOUD, PREMISES], ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def accept(config: dict[str, Any]) -> dict[str, Any]:
    """Ray's own preparation and validation, as `ray up` does them before it starts anything."""
    prepared: dict[str, Any] = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def start_commands(config: dict[str, Any], kind: str) -> str:
    return " && ".join(config[f"{kind}_start_ray_commands"])


@LAUNCHED
def test_ray_accepts_it(path: Path) -> None:
    prepared = accept(read(path))
    assert prepared["head_node_type"] in prepared["available_node_types"]


@LAUNCHED
@pytest.mark.parametrize(
    ("right", "wrong"), [("file_mounts", "file_mount"), ("setup_commands", "setup_comands")]
)
def test_a_typo_is_caught(path: Path, right: str, wrong: str) -> None:
    config = read(path)
    config[wrong] = config.pop(right)
    with pytest.raises(jsonschema.ValidationError, match=wrong):
        accept(config)


def test_a_typo_in_a_node_type_is_caught() -> None:
    config = read(CLOUD)
    config["available_node_types"]["gpu_worker"]["max_worker"] = 3
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        accept(config)


def test_more_workers_than_the_cluster_allows_are_caught() -> None:
    config = read(CLOUD)
    config["available_node_types"]["gpu_worker"]["min_workers"] = config["max_workers"] + 1
    with pytest.raises(ValueError, match="max_workers"):
        accept(config)


def test_the_head_takes_no_work_and_workers_scale() -> None:
    types = read(CLOUD)["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0, "GPU": 0}
    assert types["cpu_worker"]["max_workers"] > types["cpu_worker"]["min_workers"]
    assert types["gpu_worker"]["max_workers"] > types["gpu_worker"]["min_workers"] >= 1
    assert "--num-cpus=0 --num-gpus=0" in start_commands(read(PREMISES), "head")
    head = read_cluster()["headGroupSpec"]["rayStartParams"]
    assert head == {"num-cpus": "0", "num-gpus": "0"}


def read_cluster() -> dict[str, Any]:
    """The RayCluster among the documents of the Kubernetes example."""
    documents = {doc["kind"]: doc for doc in yaml.safe_load_all(KUBERAY.read_text("utf-8"))}
    spec: dict[str, Any] = documents["RayCluster"]["spec"]
    return spec


@LAUNCHED
def test_token_and_shared_folder_reach_every_node(path: Path) -> None:
    config = read(path)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    everywhere = " ".join(config.get("docker", {}).get("run_options", []))
    for kind in ("head", "worker"):
        seen = everywhere + start_commands(config, kind)
        assert "RAY_AUTH_MODE=token" in seen
        assert "TALARIA_HOME=/mnt/talaria" in seen


def test_kubernetes_pods_share_token_and_folder() -> None:
    cluster = read_cluster()
    assert cluster["authOptions"] == {"mode": "token"}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        container = group["template"]["spec"]["containers"][0]
        assert {"name": "TALARIA_HOME", "value": "/mnt/talaria"} in container["env"]
        assert "/mnt/talaria" in {mount["mountPath"] for mount in container["volumeMounts"]}


@LAUNCHED
def test_nodes_are_told_the_dependencies_and_not_the_project(path: Path, tmp_path: Path) -> None:
    config = read(path)
    for remote, local in config["file_mounts"].items():
        if not local.startswith("~"):
            target = tmp_path / remote.removeprefix("~/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / local).read_bytes())
    listing = next(command for command in config["setup_commands"] if "tomllib" in command)
    subprocess.run(["bash", "-c", listing], env={**os.environ, "HOME": str(tmp_path)}, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    written = (tmp_path / "talaria_requirements.txt").read_text("utf-8").splitlines()
    assert written == project["dependencies"]
    assert f"-r {Path('~', 'talaria_requirements.txt')}" in config["setup_commands"][-1]


def test_every_description_runs_the_pinned_ray() -> None:
    pin = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert pin
    images = re.findall(
        r"rayproject/ray:([\d.]+)-", CLOUD.read_text("utf-8") + (KUBERAY.parent / "cluster.md").read_text()
    )
    assert len(images) == 3
    assert {*images, read_cluster()["rayVersion"]} == {pin[1]}


def test_a_submitted_job_carries_code_and_not_data(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    kept = {
        "jobs/train.py",
        "jobs/recipes/demo.yaml",
        "platform/talaria/log.py",
        "models/talaria_models/base.py",
    }
    left = {
        ".git/config",
        ".venv/bin/ray",
        "runs/demo/a.json",
        "demo_data/b.mp4",
        "docs/images/c.png",
        "footage/d.mkv",
    }
    for name in kept | left:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("x")
    (tree / ".rayignore").write_text((ROOT / ".rayignore").read_text("utf-8"))
    package = tmp_path / "package.zip"
    create_package(str(tree), package, include_gitignore=True, logger=logging.getLogger("test"))
    names = {name for name in zipfile.ZipFile(package).namelist() if not name.endswith("/")}
    assert names == kept | {".rayignore"}
