"""Join the cluster that is there, or start Ray on this machine; say early what it lacks."""

from __future__ import annotations

import math
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from talaria.config.schema import ResourcesSection
from talaria.errors import ConfigError
from talaria.log import quiet_libraries

_KNOCK_S = 10.0
_ACTOR_GIB = 1.5  # of memory, and no more whatever the length of its videos
_BANNER = b"Set ray log level from environment variable"

# Read by Ray Train in the driver and handed to its workers (a report then takes 0.1 s instead of 2 s).
_QUIET = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
# Nobody looks at these of a Ray of our own; its processes then use a sixth less while work goes on.
_OWN = {"RAY_enable_metrics_collection": "0", "RAY_task_events_report_interval_ms": "0"}


@dataclass(frozen=True)
class Capacity:
    """What the cluster has in all."""

    cpus: float
    gpus: float
    nodes: int
    memory_gib: float = math.inf

    @property
    def gpu(self) -> bool:
        """Whether models run on GPUs."""
        return self.gpus > 0

    def actors(self, resources: ResourcesSection) -> int:
        """Actors of an extraction or a prediction: one a CPU or what the GPUs hold, as far as memory goes."""
        if resources.actors is not None:
            return resources.actors
        room = self.memory_gib / _ACTOR_GIB
        if self.gpu and resources.gpus_per_worker:
            room = min(room, self.gpus / resources.gpus_per_worker)
        return max(int(min(self.cpus, room)), 1)

    def videos_per_actor(self, resources: ResourcesSection) -> int:
        """Videos that an actor decodes at a time: one without GPUs, else what keeps all CPUs decoding."""
        if resources.videos_per_actor is not None:
            return resources.videos_per_actor
        return max(int(self.cpus / self.actors(resources)), 1) if self.gpu else 1

    def share_of_an_actor(self, resources: ResourcesSection) -> dict[str, float]:
        """What Ray is told that one of them takes."""
        return {"num_cpus": 1, "num_gpus": resources.gpus_per_worker} if self.gpu else {"num_cpus": 1}


@contextmanager
def connected(resources: ResourcesSection, runtime_env: Mapping[str, Any]) -> Iterator[Capacity]:
    """Ray for the length of a block.

    RAY_ADDRESS (set in a submitted job) names the cluster to join; without it Ray starts on this machine and
    is stopped at the end. A Ray that this process already runs is used and left alone.

    Args:
        resources: the recipe's section.
        runtime_env: what jobs/_bootstrap.py found out about shipping the code.

    Raises:
        ConfigError: no cluster answers at RAY_ADDRESS, or the cluster cannot hold what the recipe asks for.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    started = not ray.is_initialized()
    if started:
        with _no_banner():
            _start(ray, resources, runtime_env)
    quiet_libraries()
    try:
        yield checked(capacity(ray), resources)
    finally:
        if started:
            ray.shutdown()


def capacity(ray: Any) -> Capacity:
    """The cluster's totals."""
    total = ray.cluster_resources()
    return Capacity(
        float(total.get("CPU", 0)),
        float(total.get("GPU", 0)),
        len(ray.nodes()),
        float(total.get("memory", math.inf)) / 2**30,
    )


def worker_slots(cpus: float, gpus: float) -> int:
    """How many workers of this size the nodes of the cluster hold, each on one node."""
    import ray

    wanted = [(unit, size) for unit, size in (("CPU", cpus), ("GPU", gpus)) if size > 0]
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(min(int(node.get(unit, 0) // size) for unit, size in wanted) for node in nodes)


def checked(found: Capacity, resources: ResourcesSection) -> Capacity:
    """`found`, if work can be placed on it at all; otherwise Ray would wait for ever without a word.

    Raises:
        ConfigError: naming every resource that falls short and the settings that ask for it.
    """
    workers, wanted = resources.train_workers, resources
    needs = [
        (found.cpus, wanted.cpus_per_worker * workers, "CPUs", _product("cpus_per_worker", wanted)),
    ]
    if found.gpu:
        needs.append(
            (found.gpus, wanted.gpus_per_worker * workers, "GPUs", _product("gpus_per_worker", wanted))
        )
    problems = [
        f"the cluster has {has:g} {unit}; {asked:g} are needed by {settings}; lower these or add nodes"
        for has, asked, unit, settings in needs
        if has < asked
    ]
    if problems:
        raise ConfigError(problems)
    return found


def _product(field: str, resources: ResourcesSection) -> str:
    value = getattr(resources, field)
    return f"resources.train_workers ({resources.train_workers}) x resources.{field} ({value:g})"


def _start(ray: Any, resources: ResourcesSection, runtime_env: Mapping[str, Any]) -> None:
    common = {"logging_level": "ERROR", "log_to_driver": False, "runtime_env": dict(runtime_env) or None}
    if os.environ.get("RAY_ADDRESS"):
        _join(ray, os.environ["RAY_ADDRESS"], common)
        return
    for name, value in _OWN.items():
        os.environ.setdefault(name, value)
    store_bytes = resources.object_store_mb * 2**20
    ray.init(address="local", include_dashboard=False, object_store_memory=store_bytes, **common)


@contextmanager
def _no_banner() -> Iterator[None]:
    """Ray's C++ part says on stderr, at any level, that it read RAY_BACKEND_LOG_LEVEL; other lines pass."""
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            os.write(2, b"".join(line for line in held if _BANNER not in line))


def _join(ray: Any, address: str, options: Mapping[str, Any]) -> None:
    try:
        _knock(address)
        ray.init(address=address, **options)
    except OSError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"RAY_ADDRESS: no cluster answers at {address} ({reason}); unset it to start Ray on this machine"
        ) from None


def _knock(address: str) -> None:
    """Fail within seconds where nothing listens; Ray itself tries for minutes. `auto` is left to Ray."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
