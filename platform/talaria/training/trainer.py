"""A training on Ray Train: workers, checkpoints, restarts, and its progress as seen from the driver."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from talaria.cluster.connect import Capacity
from talaria.config.schema import ResourcesSection
from talaria.errors import StageError, TalariaError
from talaria.log import following
from talaria.training.job import TrainJob
from talaria.training.loop import METRICS, Load, Save, read_metrics, train

_FAILURES = 3
OnEpoch = Callable[[dict[str, float]], None]


def fit(job: TrainJob, resources: ResourcesSection, capacity: Capacity, on_epoch: OnEpoch) -> None:
    """Train `job` on the cluster; a repeated call after a kill goes on from the last checkpoint.

    Args:
        job: what to train; its `out` folder receives metrics and model, on storage that all nodes see.
        resources: workers and what each may take.
        capacity: what the cluster has.
        on_epoch: called in the driver with the metrics of every finished epoch.

    Raises:
        StageError: the training failed more often than it is retried, or for a reason that no retry mends.
    """
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    use_gpu = capacity.gpu and resources.gpus_per_worker > 0
    per_worker = {"CPU": resources.cpus_per_worker}
    if use_gpu:
        per_worker["GPU"] = resources.gpus_per_worker
    storage = Path(job.out) / "ray"
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"job": job},
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=resources.train_workers, use_gpu=use_gpu, resources_per_worker=per_worker
        ),
        run_config=RunConfig(
            name="fit",
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=_FAILURES),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    )
    with following(_teller(Path(job.out) / METRICS, on_epoch)):
        try:
            trainer.fit()
        except Exception as error:
            raise StageError(reasons(job.name, error)) from error
    shutil.rmtree(storage, ignore_errors=True)


class RayTrainContext:
    """This process as one worker of a Ray Train group."""

    def __init__(self) -> None:
        import ray.train
        import ray.train.torch

        context = ray.train.get_context()
        self.rank: int = context.get_world_rank()
        self.world_size: int = context.get_world_size()
        self.device: torch.device = ray.train.torch.get_device()

    def restore(self, load: Load) -> int:
        """Load the last registered checkpoint."""
        import ray.train

        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            return 0
        with checkpoint.as_directory() as folder:
            return load(Path(folder))

    def report(self, epoch: int, metrics: dict[str, float], model: nn.Module, save: Save) -> None:
        """Every worker reports; rank 0 brings the checkpoint."""
        import ray.train

        del model
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = None
            if self.rank == 0:
                save(Path(folder))
                checkpoint = ray.train.Checkpoint.from_directory(folder)
            ray.train.report({"epoch": epoch, **metrics}, checkpoint=checkpoint)


def _worker(config: dict[str, TrainJob]) -> None:
    """The loop that each Ray Train worker runs."""
    torch.set_num_threads(1)
    train(config["job"], RayTrainContext())


def _teller(path: Path, on_epoch: OnEpoch) -> Callable[[], None]:
    """A function that hands the new lines of a metrics file to `on_epoch`."""
    seen = 0

    def look() -> None:
        nonlocal seen
        lines = list(read_metrics(path))
        for line in lines[seen:]:
            on_epoch(line)
        seen = max(seen, len(lines))

    return look


def reasons(name: str, error: Exception) -> list[str]:
    """What the workers died of, in their own words where these were meant for the user."""
    failures = getattr(error, "worker_failures", None) or {0: error}
    first = next(iter(failures.values()))
    cause: BaseException | None = first
    while cause is not None:
        if isinstance(cause, TalariaError):
            return list(cause.problems)
        cause = getattr(cause, "cause", None) or cause.__cause__
    return [f"{name}: training failed: {type(first).__name__}: {' '.join(str(first).split())[:400]}"]
