"""Actors, nodes and drivers killed at random moments of an extraction: the same bytes, nothing done twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from talaria.config.specs import DemoSpec
from talaria.data.demo_plan import plan_videos
from talaria.data.demo_video import render_video
from talaria.store.checkpoint import SavedModel, save_model
from talaria_models import registry
from talaria_models.backbones.slowfast.config import TINY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DRIVER = Path(__file__).with_name("extraction_driver.py")
VICTIMS = ("actor", "node", "driver")
ROUNDS = 10
SPEC = DemoSpec(num_training=8, num_validation=0, num_testing=0, min_duration_s=20, num_broken=0, num_short=0)


@dataclass(frozen=True)
class Material:
    """Videos, a network, and what an undisturbed extraction leaves."""

    folder: Path
    shards: dict[str, bytes]

    def run(self, store: Path, victim: str, **when: float) -> subprocess.CompletedProcess[str]:
        """One extraction into `store`."""
        return driven(self.folder, store, victim, **when)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("material")
    (folder / "videos").mkdir()
    for plan in plan_videos(replace(SPEC, max_duration_s=40)):
        render_video(plan, str(folder / "videos" / f"{plan.video_id}.mp4"))
    torch.manual_seed(0)
    sizes = {"num_classes": 3, "num_frames": 8, "height": 48, "width": 48}
    save_model(folder / "model", registry.build(TINY, **sizes), SavedModel(TINY, sizes, {}))
    ended = driven(folder, folder / "undisturbed", "none")
    assert ended.returncode == 0, ended.stderr
    return Material(folder, shards(folder / "undisturbed"))


@pytest.mark.parametrize("number", range(ROUNDS))
def test_features_survive_a_kill(material: Material, tmp_path: Path, number: int) -> None:
    victim = VICTIMS[number % len(VICTIMS)]
    draw = random.Random(number)
    store = tmp_path / "store"
    ended = material.run(store, victim, after_shards=draw.randint(0, 5), after_s=draw.uniform(0.0, 0.5))
    if victim == "driver":
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        before = stamps(store)
        assert len(before) < len(material.shards)
        again = material.run(store, "none")
        assert again.returncode == 0, again.stderr
        assert before.items() <= stamps(store).items(), "finished videos were computed again"
    else:
        assert ended.returncode == 0, ended.stderr
        (finished,) = json.loads(ended.stdout.splitlines()[-1])["struck"]
        assert finished < len(material.shards)
    assert shards(store) == material.shards
    rows = [json.loads(line) for line in (store / "ledger.jsonl").read_text().splitlines()]
    assert sorted(row["video_id"] for row in rows) == sorted(name.split(".")[0] for name in material.shards)
    assert {(row["status"], row["attempts"]) for row in rows} == {("done", 1)}


def driven(folder: Path, store: Path, victim: str, **when: float) -> subprocess.CompletedProcess[str]:
    """Run the driver; `when` is its job's; its Ray lives in a folder of its own and ends with it."""
    store.mkdir(exist_ok=True)
    job = {"store": str(store), "model": str(folder / "model"), "folder": str(folder / "videos")}
    file = store.with_suffix(".json")
    file.write_text(json.dumps({**job, "victim": victim, **when}))
    with tempfile.TemporaryDirectory(prefix="tl", dir="/tmp", ignore_cleanup_errors=True) as ray_folder:
        environment = {**os.environ, "RAY_TMPDIR": ray_folder}
        try:
            return subprocess.run(
                [sys.executable, str(DRIVER), str(file)],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
        finally:
            end_below(ray_folder)


def end_below(folder: str) -> None:
    """End what a killed driver left of its Ray: what names the folder, and the children of that."""
    named = [one for one in psutil.process_iter(["cmdline"]) if folder in " ".join(one.info["cmdline"] or ())]
    for process in named:
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in (*process.children(recursive=True), process):
                each.kill()


def shards(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store / "videos").glob("*.parquet")}


def stamps(store: Path) -> dict[str, Any]:
    return {path.name: path.stat().st_mtime_ns for path in (store / "videos").glob("*.parquet")}
