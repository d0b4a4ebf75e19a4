"""What differs between trainings: which data, targets and criterion belong to a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from talaria.seeds import content_seed
from talaria.store.checkpoint import load_model
from talaria.training.datasets import ClipDataset, Sample, SnippetDataset, stacked
from talaria.training.job import (
    ClipSource,
    LabelledVideo,
    RefinerSource,
    SnippetSource,
    TrainJob,
    WeakSource,
    WindowSource,
)
from talaria.training.refiner_data import RefinerDataset
from talaria.training.weak_data import WeakDataset
from talaria.training.window_data import WindowDataset
from talaria_models.backbones.batchnorm import recompute_statistics
from talaria_models.backbones.criterion import ClipCriterion
from talaria_models.backbones.pixels import network_input
from talaria_models.base import Criterion, Loss
from talaria_models.bmn.config import BMNConfig
from talaria_models.bmn.criterion import BMNCriterion
from talaria_models.bmn.targets import build_targets as bmn_targets
from talaria_models.classifier.config import ClassifierConfig
from talaria_models.classifier.criterion import ClassifierCriterion
from talaria_models.classifier.targets import build_targets as class_targets
from talaria_models.kt_mgfn.config import KTMGFNConfig
from talaria_models.kt_mgfn.criterion import KTMGFNCriterion
from talaria_models.kt_mgfn.model import KTMGFN
from talaria_models.refine_network.config import RefineNetworkConfig
from talaria_models.refine_network.criterion import RefineNetworkCriterion
from talaria_models.refine_network.targets import build_targets as refine_network_targets
from talaria_models.refining import build_targets
from talaria_models.registry import BackboneConfig, build
from talaria_models.s_2d_tan.config import S2DTANConfig
from talaria_models.s_2d_tan.criterion import S2DTANCriterion
from talaria_models.s_2d_tan.targets import build_targets as s_2d_tan_targets
from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.sp_tad.criterion import SPTADCriterion
from talaria_models.sp_tad.model import SPTAD
from talaria_models.tcanet.config import TCANetConfig
from talaria_models.tcanet.criterion import TCANetCriterion

_STATISTICS_BATCHES = 16


class TrainingData(Protocol):
    """A map-style dataset."""

    def __len__(self) -> int: ...

    def sample(self, index: int, seed: int | None) -> Sample:
        """Inputs and targets of one sample; `seed` decides its random changes, None means none."""
        ...

    def describe(self, index: int) -> str:
        """What a person calls this sample."""
        ...


@dataclass(frozen=True)
class TrainingTask:
    """A model with its data and criterion.

    Attributes:
        forward: runs the model on a batch.
        counts: what normalises the loss, from a batch; where that depends on what the model says, the second
            argument runs it.
        finalize: what is left to do once all epochs are done.
    """

    model: nn.Module
    dataset: TrainingData
    criterion: Loss
    counts: Callable[[Mapping[str, Tensor], Callable[[], Any]], Tensor]
    forward: Callable[[nn.Module, Mapping[str, Tensor]], Any]
    finalize: Callable[[nn.Module, torch.device], None]


def build_task(job: TrainJob) -> TrainingTask:
    """The task of a job, by the kind of its model."""
    model = build(job.model, **job.sizes)
    if isinstance(job.source, ClipSource):
        return _backbone_task(job, model, job.source)
    if isinstance(job.source, RefinerSource):
        return _refiner_task(job, model, job.source)
    if isinstance(job.source, WeakSource):
        return _weak_task(job, model, job.source)
    if isinstance(job.source, WindowSource):
        return _window_task(job, model, job.source)
    return _head_task(job, model, job.source)


def _backbone_task(job: TrainJob, model: nn.Module, source: ClipSource) -> TrainingTask:
    config: BackboneConfig = job.model  # type: ignore[assignment]
    dataset = ClipDataset(source)

    def forward(network: nn.Module, batch: Mapping[str, Tensor]) -> Any:
        return network(network_input(batch["clips"], config))

    def finalize(network: nn.Module, device: torch.device) -> None:
        """Batch-norm statistics of the last weights, over clips that the seed picks."""
        size = job.optim.micro_batch_size
        count = min(len(dataset), _STATISTICS_BATCHES * size)
        picks = sorted(range(len(dataset)), key=lambda i: content_seed(job.seed, "statistics", i))[:count]
        cuts = (picks[begin : begin + size] for begin in range(0, count, size))
        clips = (stacked([dataset.sample(i, None) for i in cut])["clips"] for cut in cuts)
        batches = (network_input(batch.to(device), config) for batch in clips)
        recompute_statistics(network, batches)

    criterion = ClipCriterion(job.label_smoothing, job.bnm_weight)
    return TrainingTask(model, dataset, criterion, _from_targets(criterion), forward, finalize)


def _head_task(job: TrainJob, model: nn.Module, source: SnippetSource) -> TrainingTask:
    config = job.model
    if isinstance(config, BMNConfig):
        bmn = config

        def detector_targets(video: LabelledVideo) -> Sample:
            return bmn_targets(segments_frac(video), bmn)

        dataset = SnippetDataset(source, detector_targets)
        return _task(model, dataset, BMNCriterion(config))
    index = {label: position for position, label in enumerate(source.classes)}
    if isinstance(config, S2DTANConfig):
        tan = config

        def candidate_targets(video: LabelledVideo) -> Sample:
            labels = [index[annotation.label] for annotation in video.annotations]
            return s_2d_tan_targets(segments_frac(video), labels, tan)

        return _task(model, SnippetDataset(source, candidate_targets), S2DTANCriterion())
    assert isinstance(config, ClassifierConfig)

    def classifier_targets(video: LabelledVideo) -> Sample:
        labels = sorted({index[annotation.label] for annotation in video.annotations})
        return class_targets(labels, len(index))

    labelled = SnippetSource(
        source.folder, tuple(v for v in source.videos if v.annotations), source.num_bins, source.classes
    )
    dataset = SnippetDataset(labelled, classifier_targets)
    return _task(model, dataset, ClassifierCriterion(config.bnm_weight))


def _weak_task(job: TrainJob, model: nn.Module, source: WeakSource) -> TrainingTask:
    config = job.model
    assert isinstance(config, KTMGFNConfig)
    assert isinstance(model, KTMGFN)
    if source.teacher is not None:
        model.start_from(load_model(Path(source.teacher))[0].state_dict())
    criterion = KTMGFNCriterion(config)

    def forward(network: nn.Module, batch: Mapping[str, Tensor]) -> Any:
        return network(batch["features"], None, batch["classes"])

    dataset = WeakDataset(source, config)
    return TrainingTask(model, dataset, criterion, _from_targets(criterion), forward, _nothing_left)


def _window_task(job: TrainJob, model: nn.Module, source: WindowSource) -> TrainingTask:
    config = job.model
    assert isinstance(config, SPTADConfig)
    dataset = WindowDataset(source, config)
    criterion = SPTADCriterion(config, linear_sum_assignment)

    def forward(network: nn.Module, batch: Mapping[str, Tensor]) -> Any:
        return network(batch.get("rgb"), batch.get("flow"), batch["num_frames"])

    def finalize(network: nn.Module, device: torch.device) -> None:
        """Batch-norm statistics of the last weights, where they trained, over windows by the seed."""
        assert isinstance(network, SPTAD)
        if config.freeze_norms or config.backbone_lr_scale == 0.0:
            return
        picks = sorted(range(len(dataset)), key=lambda i: content_seed(job.seed, "statistics", i))
        for stream in config.streams:
            cuts = (dataset.sample(i, None)[stream][None] for i in picks[:_STATISTICS_BATCHES])
            windows = (network_input(cut.to(device), config.i3d(stream)) for cut in cuts)
            recompute_statistics(network.stream(stream), windows)

    return TrainingTask(model, dataset, criterion, _from_targets(criterion), forward, finalize)


def _refiner_task(job: TrainJob, model: nn.Module, source: RefinerSource) -> TrainingTask:
    config = job.model

    def forward(network: nn.Module, batch: Mapping[str, Tensor]) -> Any:
        return network(batch["features"], batch["mask"], batch["proposals"], batch["valid"])

    if isinstance(config, TCANetConfig):
        dataset = RefinerDataset(source, lambda proposals, truths, _: build_targets(proposals, truths))
        cascade = TCANetCriterion(config)
        return TrainingTask(
            model, dataset, cascade, lambda batch, run: cascade.counts(batch, run()), forward, _nothing_left
        )
    assert isinstance(config, RefineNetworkConfig)
    dataset = RefinerDataset(source, refine_network_targets)
    criterion = RefineNetworkCriterion(config)
    return TrainingTask(model, dataset, criterion, _from_targets(criterion), forward, _nothing_left)


def _task(model: nn.Module, dataset: SnippetDataset, criterion: Criterion) -> TrainingTask:
    def forward(network: nn.Module, batch: Mapping[str, Tensor]) -> Any:
        return network(batch["features"])

    return TrainingTask(model, dataset, criterion, _from_targets(criterion), forward, _nothing_left)


def _from_targets(criterion: Criterion) -> Callable[[Mapping[str, Tensor], Callable[[], Any]], Tensor]:
    return lambda batch, run: criterion.counts(batch)


def _nothing_left(network: nn.Module, device: torch.device) -> None:
    """These models are finished after their last epoch."""


def segments_frac(video: LabelledVideo) -> Tensor:
    """True segments (N, 2) as fractions of the video, cut to [0, 1]."""
    rows = [(a.start_s / video.duration_s, a.end_s / video.duration_s) for a in video.annotations]
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 2).clamp(0.0, 1.0)
