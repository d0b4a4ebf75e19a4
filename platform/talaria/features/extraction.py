"""Extraction on Ray Data: decode once -> chunks of frames -> backbone on an actor pool -> committed shards.

Features never pass through the driver: an actor leaves each chunk's result as a part file, the driver counts
chunks, and a small task joins a complete video's parts into its shard. Every unit may run twice and gives the
same bytes; a video is finished when its ledger row is written, after its shard.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from talaria.cluster.connect import Capacity
from talaria.cluster.data import ray_data
from talaria.config.schema import ResourcesSection
from talaria.features.decode import decode_chunks
from talaria.features.parts import commit_video, part_path
from talaria.features.requests import (
    ExtractionPlan,
    OnVideo,
    StageLimits,
    done_row,
    failed_row,
    length_note,
    rows_of,
    unfinished,
)
from talaria.records import Video
from talaria.store.checkpoint import load_model
from talaria.store.files import written_aside
from talaria.store.ledger import Ledger
from talaria_models.backbones.pixels import normalise

_COMMITS_IN_FLIGHT = 2  # each takes a process of its own, which is idle most of the time


def extract(
    plan: ExtractionPlan,
    videos: Sequence[Video],
    ledger: Ledger,
    limits: StageLimits,
    resources: ResourcesSection,
    capacity: Capacity,
    on_video: OnVideo,
) -> None:
    """Compute the features of every video that has no ledger row yet.

    Args:
        plan: what to compute and where it goes.
        videos: all videos of the dataset.
        ledger: rows of earlier calls; new ones are added as videos end.
        on_video: called with each new row.

    Raises:
        StageError: too many videos failed, or all of them.
    """
    todo = unfinished(videos, ledger, limits.retry_failed)
    if todo:
        collector = _Collector(plan, {video.video_id: video for video in todo}, ledger, on_video)
        for row in rows_of(_chunks_done(plan, todo, resources, capacity)):
            collector.add(row)
        collector.finish()
    ledger.close(limits.max_failed_frac, "features")


class Forward:
    """A Ray Data actor: the backbone on one chunk at a time; leaves a part file, passes on what it did."""

    def __init__(self, plan: ExtractionPlan) -> None:
        self._plan = plan
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if self._device.type == "cpu":
            torch.set_num_threads(1)
        self._model, saved = load_model(Path(plan.model))
        self._model.to(self._device)
        self._pixels = (saved.config.pixel_mean, saved.config.pixel_std)  # type: ignore[union-attr]

    def __call__(self, batch: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One row in, one small row out."""
        num_valid = int(batch["num_valid"][0])
        if num_valid > 0:
            features, logits = self.compute(batch["frames"][0])
            part = part_path(self._plan, str(batch["video_id"][0]), int(batch["chunk_idx"][0]))
            with written_aside(part) as aside, aside.open("wb") as file:
                np.savez(file, features=features[:num_valid], logits=logits[:num_valid])
        return {key: column for key, column in batch.items() if key != "frames"}

    @torch.inference_mode()
    def compute(self, frames: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Features (K, C) and logits (K, classes + 1) of the K clips of a chunk's frames (F, H, W, 3)."""
        spec = self._plan.spec
        on_device = torch.from_numpy(np.array(frames)).to(self._device)
        clips = on_device.unfold(0, spec.num_frames, spec.stride_frames).permute(0, 4, 1, 2, 3)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            output = self._model(normalise(clips, *self._pixels))
        features, logits = output.features_BC.float().cpu().numpy(), output.logits_BK.float().cpu().numpy()
        return features.astype(self._plan.dtype), logits.astype(self._plan.dtype)


@dataclass
class _Collector:
    """The driver's side: counts chunks, orders commits, writes ledger rows."""

    plan: ExtractionPlan
    videos: Mapping[str, Video]
    ledger: Ledger
    on_video: OnVideo
    arrived: dict[str, set[int]] = field(default_factory=dict)
    ends: dict[str, tuple[int, float, str]] = field(default_factory=dict)
    commits: dict[Any, tuple[str, float, str]] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        """One chunk is done."""
        video_id, num_chunks = str(row["video_id"]), int(row["num_chunks"])
        if num_chunks < 0:
            self._fail(video_id, str(row["error"]))
            return
        self.arrived.setdefault(video_id, set()).add(int(row["chunk_idx"]))
        if num_chunks > 0:
            self.ends[video_id] = (num_chunks, float(row["decoded_s"]), str(row["error"]))
        end = self.ends.get(video_id)
        if end is not None and len(self.arrived[video_id]) == end[0]:
            self._commit(video_id, *end)

    def finish(self) -> None:
        """Wait for the last commits."""
        while self.commits:
            self._settle()

    def _commit(self, video_id: str, num_chunks: int, decoded_s: float, error: str) -> None:
        import ray

        task = ray.remote(num_cpus=0)(commit_video)
        self.commits[task.remote(self.plan, video_id, num_chunks, decoded_s)] = (video_id, decoded_s, error)
        del self.arrived[video_id]
        while len(self.commits) >= _COMMITS_IN_FLIGHT:
            self._settle()

    def _settle(self) -> None:
        import ray

        ready, _ = ray.wait(list(self.commits), num_returns=1)
        video_id, decoded_s, error = self.commits.pop(ready[0])
        video, num_snippets = self.videos[video_id], int(ray.get(ready[0]))
        note = "; ".join(part for part in (error, length_note(video, decoded_s)) if part)
        row = done_row(video, self.ledger, decoded_s, num_snippets, note)
        self.ledger.add(row)
        self.on_video(row)

    def _fail(self, video_id: str, reason: str) -> None:
        shutil.rmtree(part_path(self.plan, video_id, 0).parent, ignore_errors=True)
        row = failed_row(self.videos[video_id], self.ledger, "decode", reason, None)
        self.ledger.add(row)
        self.on_video(row)


def _chunks_done(
    plan: ExtractionPlan, todo: Sequence[Video], resources: ResourcesSection, capacity: Capacity
) -> Iterator[dict[str, Any]]:
    data = ray_data()
    rows = [{"video_id": video.video_id, "path": video.path} for video in todo]
    actors = data.ActorPoolStrategy(min_size=1, max_size=resources.forward_actors)
    gpus = {"num_gpus": resources.gpus_per_worker} if capacity.gpu else {}
    dataset = (
        data.from_items(rows, override_num_blocks=len(rows))
        .map_batches(decode_chunks, fn_kwargs={"plan": plan}, batch_size=1, num_cpus=resources.decode_cpus)
        .map_batches(
            Forward,
            fn_constructor_kwargs={"plan": plan},
            batch_size=1,
            num_cpus=resources.forward_cpus,
            compute=actors,
            **gpus,
        )
    )
    batches: Iterator[dict[str, Any]] = iter(dataset.iter_batches(batch_size=None, batch_format="numpy"))
    return batches
