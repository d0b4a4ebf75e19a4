"""One trial: it trains in its own process, or starts Ray Train, and reports every epoch with its score.

A trial that is started again first repeats the reports of the epochs that it has, so that the scheduler sees
all of them, and goes on after its last checkpoint.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from talaria.errors import StageError, TalariaError
from talaria.prediction.judge import Judge
from talaria.search.plan import SearchPlan
from talaria.search.trials import Report, TrialFolder
from talaria.training.loop import Load, Save, train
from talaria.training.trainer import reasons

NUMBER = "number"
"""Key of the trial's number among what Tune hands to it; the others are paths of the recipe."""
_FAILURES = 2
_LATE_STARTS = 10  # minutes that workers may wait for their place; Ray Train would wait for ever


def run_trial(config: Mapping[str, Any], plan: SearchPlan) -> None:
    """What Ray Tune runs. A failure that no repetition mends is kept in the trial's folder, not raised."""
    folder = TrialFolder(plan.folder, int(config[NUMBER]))
    folder.fail(None)
    try:
        (_alone if plan.section.workers_per_trial == 1 else _together)(plan, folder)
    except TalariaError as error:
        folder.fail("; ".join(error.problems))
    except Exception as error:
        folder.fail(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        raise


class StoppedError(Exception):
    """The trial was asked to stop."""


class TrialContext:
    """A worker of a trial; the first one judges the network after every epoch."""

    def __init__(
        self,
        folder: TrialFolder,
        judge: Judge | None,
        gflop: float,
        tell: Callable[[Report], None],
        *,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Where a trial's training runs.

        Args:
            judge: None on all workers but the first.
            gflop: the network's cost.
            tell: takes every report, on every worker; those of the first one count.
            stopped: whether the trial is asked to stop, the same on every worker.
        """
        self.rank = rank
        self.world_size = world_size
        self.device = device
        self._folder = folder
        self._judge = judge
        self._gflop = gflop
        self._tell = tell
        self._stopped = stopped
        self._reports: list[Report] = []

    def restore(self, load: Load) -> int:
        """Go on from the trial's last checkpoint, having repeated the reports up to it."""
        path, self._reports = self._folder.checkpoint()
        first = load(path) if path is not None else 0
        for report in self._reports:
            self._tell(report)
        return first

    def report(self, epoch: int, metrics: dict[str, float], model: nn.Module, save: Save) -> None:
        """Judge and keep the epoch, then tell the scheduler, which may end the trial here.

        Raises:
            StoppedError: the trial is asked to stop.
        """
        report: Report = {}
        if self._judge is not None:
            score = self._judge.score(model)
            report = {"epoch": epoch + 1, "score": score, "cost": self._gflop, **metrics}
            self._reports.append(report)
            self._folder.keep(self._reports, save)
        self._tell(report)
        if self._stopped():
            raise StoppedError


def _alone(plan: SearchPlan, folder: TrialFolder) -> None:
    from ray import tune

    torch.set_num_threads(max(1, int(plan.cpus)))
    values = folder.values
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    judge, gflop = plan.judge(values), plan.gflop(values)
    train(plan.job(values, folder.path), TrialContext(folder, judge, gflop, tune.report, device=device))


def _together(plan: SearchPlan, folder: TrialFolder) -> None:
    """Several workers of Ray Train; their reports go to Tune as they come."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    storage = folder.path / "ray"
    shutil.rmtree(storage, ignore_errors=True)  # a trial goes on from its own checkpoint, not from Train's
    use_gpu = plan.gpus > 0
    per_worker = {"CPU": plan.cpus, **({"GPU": plan.gpus} if use_gpu else {})}
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"plan": plan, "number": folder.number, "gflop": plan.gflop(folder.values)},
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=plan.section.workers_per_trial, use_gpu=use_gpu, resources_per_worker=per_worker
        ),
        run_config=RunConfig(
            name="fit",
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=_FAILURES, controller_failure_limit=_LATE_STARTS),
            callbacks=[TuneReportCallback()],
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        raise StageError(reasons(folder.path.name, error)) from error
    shutil.rmtree(storage, ignore_errors=True)


def _worker(config: dict[str, Any]) -> None:
    """The loop of each worker."""
    import ray.train
    import ray.train.torch

    torch.set_num_threads(1)
    plan: SearchPlan = config["plan"]
    folder = TrialFolder(Path(plan.folder), config["number"])
    context, values = ray.train.get_context(), folder.values
    rank, device = context.get_world_rank(), ray.train.torch.get_device()
    here = TrialContext(
        folder,
        plan.judge(values) if rank == 0 else None,
        config["gflop"],
        ray.train.report,
        rank=rank,
        world_size=context.get_world_size(),
        device=device,
        stopped=lambda: _agreed(rank == 0 and folder.stop_epoch is not None, device),
    )
    with suppress(StoppedError):
        train(plan.job(values, folder.path), here)


def _agreed(mine: bool, device: torch.device) -> bool:
    """What the first worker says, on every worker."""
    flag = torch.tensor([mine], dtype=torch.uint8, device=device)
    dist.broadcast(flag, 0)
    return bool(flag.item())
