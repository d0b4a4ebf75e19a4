"""One extraction as a process of its own, which can lose an actor, a node or itself on the way.

    python extraction_driver.py JOB.json

JOB holds `store`, `model`, `folder` of videos, `victim` (none, actor, node, driver), and when it is struck:
`after_s` from the moment when a shard is begun and `after_shards` are whole. With `node` the cluster has a
second node, which is the one that is lost.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

import ray
from talaria.cluster.connect import Capacity
from talaria.config.schema import ResourcesSection
from talaria.config.specs import ClipSpec
from talaria.features.extraction import extract
from talaria.features.requests import ExtractionPlan, StageLimits
from talaria.records import Video
from talaria.store.ledger import Ledger

CLIP = ClipSpec(fps=10, num_frames=8, stride_frames=4, height=48, width=48)
_STRUCK: list[int] = []
"""Whole shards when the victim was struck."""


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    victim, store = job["victim"], Path(job["store"])
    cluster = Cluster(initialize_head=True, head_node_args=_node(1 if victim == "node" else 2))
    second = cluster.add_node(**_node(1)) if victim == "node" else None
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    strikes: dict[str, Callable[[], Any]] = {
        "actor": lambda: os.kill(_an_actor(), signal.SIGKILL),
        "node": lambda: cluster.remove_node(second, allow_graceful=False),
        "driver": lambda: os.kill(os.getpid(), signal.SIGKILL),
    }
    if victim in strikes:
        threading.Thread(target=_strike, args=(store, job, strikes[victim]), daemon=True).start()
    videos = [
        Video(path.stem, str(path), "testing", None, ()) for path in sorted(Path(job["folder"]).iterdir())
    ]
    plan = ExtractionPlan(str(store), job["model"], CLIP, 4, "float16", 60.0)
    resources, capacity = ResourcesSection(actors=2), Capacity(2, 0, 1)
    extract(plan, videos, Ledger(store), StageLimits(60.0, 0.0), resources, capacity, lambda row, found: None)
    ray.shutdown()
    cluster.shutdown()
    print(json.dumps({"struck": _STRUCK}))


def _node(cpus: int) -> dict[str, Any]:
    return {"num_cpus": cpus, "object_store_memory": 100 * 2**20, "include_dashboard": False}


def _strike(store: Path, job: dict[str, Any], blow: Callable[[], Any]) -> None:
    videos = store / "videos"
    while not any(videos.glob(".*.tmp")) or len(list(videos.glob("*.parquet"))) < job["after_shards"]:
        time.sleep(0.02)
    time.sleep(job["after_s"])
    blow()
    _STRUCK.append(len(list(videos.glob("*.parquet"))))


def _an_actor() -> int:
    """Some process that computes."""
    names = {child.pid: child.cmdline() for child in psutil.Process().children(recursive=True)}
    return min(pid for pid, line in names.items() if line and line[0].startswith("ray::MapWorker"))


if __name__ == "__main__":
    main()
