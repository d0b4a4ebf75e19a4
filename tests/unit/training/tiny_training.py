"""Tiny feature stores, clips and jobs, and a training context without Ray, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from talaria.config.nodes import OptimSection
from talaria.config.specs import ClipSpec
from talaria.records import Annotation
from talaria.seeds import content_seed
from talaria.store.feature_store import FeatureContract, FeatureStore
from talaria.store.proposal_store import VideoProposals, write_proposals
from talaria.training.job import (
    ClipSource,
    LabelledVideo,
    RefinerSource,
    SnippetSource,
    TaggedVideo,
    TrainJob,
    WeakSource,
)
from talaria.training.loop import METRICS, read_metrics, train
from talaria_models.backbones.slowfast.config import TINY
from talaria_models.bmn.config import BMNConfig
from talaria_models.classifier.config import ClassifierConfig
from talaria_models.kt_mgfn.config import KTMGFNConfig
from talaria_models.refine_network.config import RefineNetworkConfig
from talaria_models.registry import TELL_CLASSES
from talaria_models.s_2d_tan.config import S2DTANConfig
from talaria_models.tcanet.config import TCANetConfig

CLASSES = ("jump", "run")
NUM_CHANNELS = 8
STRIDE_S = 0.5
BMN = BMNConfig(num_snippets=8, hidden_dim_1d=8, hidden_dim_2d=4, hidden_dim_3d=8, num_samples=4)
HEADS: dict[str, Any] = {
    "bmn": BMN,
    "s_2d_tan": S2DTANConfig(num_snippets=8, hidden_dim=8, kernel_size=3, num_layers=2),
    "kt_mgfn": KTMGFNConfig(
        num_snippets=8, hidden_dim=16, regressor_dim=8, anchor_lengths=(1.0, 2.0, 4.0), transfer=False
    ),
    "classifier": ClassifierConfig(hidden_dim=32, dropout=0.3),
    "tcanet": TCANetConfig(
        hidden_dim=16, boundary_dim=8, segment_dim=16, groups=2, num_heads=4, feedforward_dim=16
    ),
    "refine_network": RefineNetworkConfig(
        hidden_dim=8, head_dim=16, transformer_layers=1, transformer_heads=2, num_bins=4
    ),
}
OPTIM = OptimSection(lr=0.01, epochs=4, batch_size=4, micro_batch_size=2, warmup_epochs=1)
SPEC = ClipSpec(fps=10.0, num_frames=8, stride_frames=4, height=32, width=32)


class KilledError(Exception):
    """The machine went away."""


class LocalContext:
    """Runs in this process; checkpoints lie in a folder, so that a later context goes on from them."""

    def __init__(self, folder: Path, *, rank: int = 0, world_size: int = 1) -> None:
        self.rank = rank
        self.world_size = world_size
        self.device = torch.device("cpu")
        self.reported: list[int] = []
        self._folder = folder

    def restore(self, load: Callable[[Path], int]) -> int:
        return load(self._folder) if self._folder.is_dir() else 0

    def report(
        self, epoch: int, metrics: dict[str, float], model: nn.Module, save: Callable[[Path], None]
    ) -> None:
        self.reported.append(epoch)
        if self.rank == 0:
            self._folder.mkdir(exist_ok=True)
            save(self._folder)


class DyingContext(LocalContext):
    """Is killed while it reports an epoch, before or after the checkpoint is there."""

    def __init__(self, folder: Path, epoch: int, *, checkpoint_first: bool) -> None:
        super().__init__(folder)
        self._epoch = epoch
        self._checkpoint_first = checkpoint_first

    def report(
        self, epoch: int, metrics: dict[str, float], model: nn.Module, save: Callable[[Path], None]
    ) -> None:
        if epoch == self._epoch and not self._checkpoint_first:
            raise KilledError
        super().report(epoch, metrics, model, save)
        if epoch == self._epoch:
            raise KilledError


def video(index: int) -> LabelledVideo:
    """Six seconds, one action whose place and class follow from the index."""
    start_s = 0.5 + 0.5 * (index % 4)
    note = Annotation(start_s, start_s + 2.0, CLASSES[index % 2])
    return LabelledVideo(f"video_{index}", 6.0, (note,))


def feature_store(folder: Path, num_videos: int) -> SnippetSource:
    """Features that tell inside from outside of an action, and which class it is, with noise."""
    store = FeatureStore(folder)
    store.write_contract(
        FeatureContract(
            {"name": "slowfast"}, "0" * 16, 10.0, 8, 5, 32, 32, -2, "bilinear", "float16", "pooled",
            NUM_CHANNELS, CLASSES,
        )
    )  # fmt: skip
    videos = tuple(video(index) for index in range(num_videos))
    for one in videos:
        rng = np.random.default_rng(content_seed("features", one.video_id))
        features_TC = rng.standard_normal((12, NUM_CHANNELS)).astype(np.float16)
        centres_s = (np.arange(12) + 0.5) * STRIDE_S
        for note in one.annotations:
            inside_T = (centres_s >= note.start_s) & (centres_s < note.end_s)
            features_TC[inside_T, CLASSES.index(note.label)] += 4.0
        store.write(one.video_id, features_TC, np.zeros((12, 3), np.float16), 6.0)
    return SnippetSource(str(folder), videos, BMN.num_snippets, CLASSES)


def weak_source(source: SnippetSource) -> WeakSource:
    """The same videos without their segments."""
    videos = tuple(
        TaggedVideo(one.video_id, one.duration_s, tuple(note.label for note in one.annotations))
        for one in source.videos
    )
    return WeakSource(source.folder, videos, source.num_bins, source.classes)


def proposals_of(source: SnippetSource, folder: Path) -> RefinerSource:
    """Two to four proposals of each video of a source, about its action."""
    rows = []
    for index, one in enumerate(source.videos):
        rng = np.random.default_rng(content_seed("proposals", one.video_id))
        note = one.annotations[0]
        near = np.array([note.start_s, note.end_s]) + rng.uniform(-0.8, 0.8, (2 + index % 3, 2))
        segments_P2 = (np.sort(np.clip(near, 0, 6), axis=1) / 6).astype(np.float32)
        rows.append(VideoProposals(one.video_id, 6.0, segments_P2, np.full(len(near), 0.5, np.float32)))
    write_proposals(folder / "part-0.parquet", rows)
    return RefinerSource(source.folder, str(folder), source.videos, 4, 64, source.classes)


def clip_files(folder: Path) -> ClipSource:
    """Three files of noise clips, of five in all; a class is a brightness."""
    folder.mkdir()
    labels = ((0, 1), (1, 2), (0,))
    files = []
    for index, wanted in enumerate(labels):
        rng = np.random.default_rng(index)
        clips = rng.integers(0, 60, (len(wanted), 8, 32, 32, 3), dtype=np.uint8)
        clips += np.array(wanted, np.uint8)[:, None, None, None, None] * 80
        files.append(str(folder / f"v.{index}.npy"))
        np.save(files[-1], clips)
    return ClipSource(tuple(files), labels, SPEC, flip=True, jitter=0.5)


def job(kind: str, folder: Path, out: str = "out", num_videos: int = 6, **changes: Any) -> TrainJob:
    """A job of one kind of model; its data are made in `folder` where they are missing."""
    if kind == "slowfast":
        source: Any = clip_files(folder / "clips") if not (folder / "clips").is_dir() else None
        model: Any = TINY
        sizes = {"num_classes": 3, "num_frames": 8, "height": 32, "width": 32}
    else:
        source = feature_store(folder / f"features{num_videos}", num_videos)
        model = HEADS[kind]
        tells = ("classifier", *TELL_CLASSES)
        sizes = {"in_channels": NUM_CHANNELS} | ({"num_classes": 2} if kind in tells else {})
        if kind == "kt_mgfn":
            source = weak_source(source)
        if kind in ("tcanet", "refine_network"):
            source = proposals_of(source, folder / f"proposals{num_videos}")
    made = TrainJob(
        kind, model, sizes, OPTIM, source, seed=11, out=str(folder / out), card={"classes": list(CLASSES)}
    )
    return replace(made, **changes)


def losses(out: str | Path) -> list[dict[str, float]]:
    """The metrics that a training left, one dict per line."""
    return list(read_metrics(Path(out) / METRICS))


def work_as(rank: int, world_size: int, meeting: str, jobs: list[TrainJob], folder: str) -> None:
    """One of several workers; they meet at a file."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", store=dist.FileStore(meeting, world_size), rank=rank, world_size=world_size
    )
    for made in jobs:
        train(made, LocalContext(Path(folder) / made.name, rank=rank, world_size=world_size))
    dist.destroy_process_group()


def curve(made: TrainJob) -> list[float]:
    return [line["loss_total"] for line in losses(made.out)]
