"""The one training loop: seed, model, data, optimiser, restore, iterate, report.

Losses are normalised over the global batch and gradients are summed over workers, so that one worker or many
take the same steps. Dropout is seeded by the micro-batch, not by the worker.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from talaria.config.nodes import OptimSection
from talaria.errors import StageError
from talaria.seeds import content_seed
from talaria.store.checkpoint import SavedModel, load_state, load_weights, save_model, save_state
from talaria.store.files import written_aside
from talaria.training.batches import BatchPlan, MicroBatch
from talaria.training.datasets import Sample, stacked
from talaria.training.job import TrainJob
from talaria.training.tasks import TrainingTask, build_task
from talaria_models.sp_tad.model import SPTAD

METRICS = "metrics.jsonl"
Save = Callable[[Path], None]
Load = Callable[[Path], int]


class TrainContext(Protocol):
    """Where a training runs: a Ray Train worker, or a trial of a search."""

    rank: int
    world_size: int
    device: torch.device

    def restore(self, load: Load) -> int:
        """`load` the last checkpoint's folder and return the epoch to start with; 0 where there is none."""
        ...

    def report(self, epoch: int, metrics: dict[str, float], model: nn.Module, save: Save) -> None:
        """Called by every worker once an epoch; `save` fills a folder with what a restart needs."""
        ...


def train(job: TrainJob, context: TrainContext) -> nn.Module:
    """Train one model to its last epoch and return it; rank 0 leaves it in `job.out`.

    Raises:
        StageError: no training sample, or a loss that is not finite (step and videos are named).
    """
    torch.manual_seed(job.seed)
    task = build_task(job)
    if not len(task.dataset):
        raise StageError(f"{job.name}: there is nothing to train on; the training subset has no usable video")
    model = task.model
    if job.start_from is not None:
        load_weights(model, Path(job.start_from))
    for stream, folder in job.start_streams.items():
        assert isinstance(model, SPTAD)
        load_weights(model.stream(stream), Path(folder), but_for="head.")
    model.to(context.device)
    optimizer = make_optimizer(model, job.optim)
    plan = BatchPlan(len(task.dataset), job.optim.batch_size, job.optim.micro_batch_size, job.seed)
    first = context.restore(lambda folder: load_state(folder, model, optimizer))
    log = MetricsLog(Path(job.out) / METRICS, first) if context.rank == 0 else None
    for epoch in range(first, job.optim.epochs):
        metrics = run_epoch(task, job, plan, epoch, optimizer, context)
        if log is not None:
            log.add(epoch, metrics)
        context.report(epoch, metrics, model, _saver(model, optimizer, epoch))
    if context.rank == 0:
        task.finalize(model, context.device)
        save_model(Path(job.out), model, SavedModel(job.model, job.sizes, job.card))
    return model


def run_epoch(
    task: TrainingTask,
    job: TrainJob,
    plan: BatchPlan,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    context: TrainContext,
) -> dict[str, float]:
    """One pass over the data; returns the mean of every loss over the steps, and the last learning rate."""
    task.model.train()
    sums: dict[str, float] = {}
    steps = plan.epoch(epoch, context.rank, context.world_size)
    for index, micro_batches in enumerate(steps):
        step = epoch * plan.steps_per_epoch + index
        lr = job.optim.lr * lr_factor(job.optim, step, plan.steps_per_epoch)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]
        losses = run_step(task, job, micro_batches, optimizer, context)
        if not math.isfinite(losses["total"]):
            samples = [i for micro in plan.epoch(epoch)[index] for i in micro.samples]
            blamed = _blamed(task, samples)
            raise StageError(f"{job.name}: the loss is {losses['total']} at step {step}; {blamed}")
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value
    means = {f"loss_{name}": value / len(steps) for name, value in sums.items()}
    return {**means, "lr": lr}


def run_step(
    task: TrainingTask,
    job: TrainJob,
    micro_batches: list[MicroBatch],
    optimizer: torch.optim.Optimizer,
    context: TrainContext,
) -> dict[str, float]:
    """One optimiser step over a global batch; returns its losses, summed over all workers."""
    batches = [_moved(_load(task, job, micro), context.device) for micro in micro_batches]
    counts = torch.zeros(task.criterion.num_counts, device=context.device)
    for micro, batch in zip(micro_batches, batches, strict=True):
        with torch.no_grad():
            counts += task.counts(batch, partial(_outputs, task, job, micro, batch, context))
    _sum_over_workers(counts, context)
    optimizer.zero_grad(set_to_none=False)
    names = task.criterion.loss_names
    totals = torch.zeros(len(names), device=context.device)
    for micro, batch in zip(micro_batches, batches, strict=True):
        outputs = _outputs(task, job, micro, batch, context)
        losses = task.criterion(outputs, batch, counts)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        totals += torch.stack([losses[name].detach() for name in names])
    _sum_over_workers(totals, context)
    _sum_gradients(task.model, context)
    nn.utils.clip_grad_norm_(task.model.parameters(), job.optim.grad_clip)
    optimizer.step()
    return dict(zip(names, totals.tolist(), strict=True))


def _outputs(
    task: TrainingTask, job: TrainJob, micro: MicroBatch, batch: Sample, context: TrainContext
) -> Any:
    """One forward pass; its dropout depends on the micro-batch alone."""
    torch.manual_seed(content_seed(job.seed, micro.step, micro.position))
    with torch.autocast(context.device.type, torch.bfloat16, enabled=context.device.type == "cuda"):
        return task.forward(task.model, batch)


def make_optimizer(model: nn.Module, optim: OptimSection) -> torch.optim.Optimizer:
    """The optimiser of the recipe; biases and norm scales (vectors) are not decayed.

    A model that trains its backbone at a rate of its own says so by `backbone_parameters` and its config.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    slower = {id(p) for p in model.backbone_parameters()} if isinstance(model, SPTAD) else set()
    scale = model.config.backbone_lr_scale if isinstance(model, SPTAD) else 1.0
    groups = [
        {
            "params": [p for p in parameters if (id(p) in slower) == scaled and (p.ndim > 1) == decayed],
            "weight_decay": optim.weight_decay if decayed else 0.0,
            "lr_scale": scale if scaled else 1.0,
        }
        for scaled in ([False, True] if slower else [False])
        for decayed in (True, False)
    ]
    if optim.name == "sgd":
        return torch.optim.SGD(groups, lr=optim.lr, momentum=optim.momentum)
    return (torch.optim.Adam if optim.name == "adam" else torch.optim.AdamW)(groups, lr=optim.lr)


def lr_factor(optim: OptimSection, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up, then the schedule, as a factor of the learning rate; depends on the step alone."""
    warmup = optim.warmup_epochs * steps_per_epoch
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if optim.schedule == "constant":
        return 1.0
    total = max(optim.epochs * steps_per_epoch - warmup, 1.0)
    return 0.5 * (1 + math.cos(math.pi * min((step - warmup) / total, 1.0)))


class MetricsLog:
    """`metrics.jsonl`: one line an epoch, the only source of progress and of what tracking shows."""

    def __init__(self, path: Path, first_epoch: int) -> None:
        """Keep the lines before `first_epoch`; later ones belong to a killed attempt."""
        self._path = path
        kept = [line for line in read_metrics(path) if line["step"] < first_epoch]
        with written_aside(path) as aside:
            aside.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def add(self, epoch: int, metrics: dict[str, float]) -> None:
        """Append the metrics of an epoch."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": epoch, **metrics}) + "\n")


def read_metrics(path: Path) -> Iterator[dict[str, float]]:
    """The whole lines of a metrics file, oldest first."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return  # being written at this moment


def _load(task: TrainingTask, job: TrainJob, micro: MicroBatch) -> Sample:
    seeds = [content_seed(job.seed, micro.step, sample) for sample in micro.samples]
    return stacked([task.dataset.sample(i, seed) for i, seed in zip(micro.samples, seeds, strict=True)])


def _blamed(task: TrainingTask, samples: list[int]) -> str:
    """The videos of a global batch, or of these the ones whose own numbers are not finite."""
    broken = [
        i for i in samples if not all(t.isfinite().all() for t in task.dataset.sample(i, None).values())
    ]
    names = ", ".join(dict.fromkeys(task.dataset.describe(i) for i in broken or samples))
    return f"inputs that are not finite in: {names}" if broken else f"videos of this step: {names}"


def _moved(batch: Sample, device: torch.device) -> Sample:
    return {key: tensor.to(device, non_blocking=True) for key, tensor in batch.items()}


def _sum_over_workers(tensor: Tensor, context: TrainContext) -> None:
    if context.world_size > 1:
        dist.all_reduce(tensor)


def _sum_gradients(model: nn.Module, context: TrainContext) -> None:
    """Add the gradients of all workers in one message.

    DistributedDataParallel averages, and hangs when a small last batch leaves a worker without a micro-batch.
    """
    if context.world_size == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def _saver(model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> Save:
    return lambda folder: save_state(folder, model, optimizer, epoch)
