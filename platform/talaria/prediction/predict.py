"""Whatever is computed video by video from stored data, on Ray Data: all plans in one pass, shard by shard.

A shard always holds the same videos, so that a repeated one is the same file; shards that exist are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from talaria.cluster.connect import Capacity
from talaria.cluster.data import ray_data
from talaria.config.schema import ResourcesSection

_VIDEOS_PER_SHARD = 16


class ShardPlan(Protocol):
    """What fills one folder of shards; a frozen description that travels to the workers.

    Attributes:
        folder: absolute folder of the shards.
        video_ids: videos to work on, in a fixed order.
    """

    @property
    def folder(self) -> Path: ...

    @property
    def video_ids(self) -> tuple[str, ...]: ...

    def load(self) -> Callable[[str], Any]:
        """On a worker: load models or stores, return what makes a video's row."""
        ...

    def write(self, path: Path, rows: list[Any]) -> None:
        """Write one shard, whole or not at all."""
        ...


def shards(plan: ShardPlan) -> list[tuple[Path, tuple[str, ...]]]:
    """Files of a plan and the videos that each holds."""
    ids, step = plan.video_ids, _VIDEOS_PER_SHARD
    return [
        (plan.folder / f"part-{begin // step:05d}.parquet", ids[begin : begin + step])
        for begin in range(0, len(ids), step)
    ]


def predict(
    plans: Sequence[ShardPlan],
    resources: ResourcesSection,
    capacity: Capacity,
    on_shard: Callable[[int], None],
) -> None:
    """Write every shard that is not there yet.

    Args:
        on_shard: called with the number of videos of each finished shard, those of earlier calls included.
    """
    todo = []
    for index, plan in enumerate(plans):
        for path, ids in shards(plan):
            if path.is_file():
                on_shard(len(ids))
            else:
                todo.append({"plan": index, "path": str(path), "videos": json.dumps(ids)})
    if not todo:
        return
    data = ray_data()
    answers = data.from_items(todo, override_num_blocks=len(todo)).map_batches(
        Predictor,
        fn_constructor_kwargs={"plans": tuple(plans)},
        batch_size=1,
        compute=data.ActorPoolStrategy(min_size=1, max_size=capacity.actors(resources)),
        **capacity.share_of_an_actor(resources),
    )
    for batch in answers.iter_batches(batch_size=None, batch_format="numpy"):
        for count in batch["count"]:
            on_shard(int(count))


class Predictor:
    """A Ray Data actor that writes shards; a plan is loaded when its first shard comes."""

    def __init__(self, plans: tuple[ShardPlan, ...]) -> None:
        self._plans = plans
        self._loaded: dict[int, Callable[[str], Any]] = {}
        if not torch.cuda.is_available():
            torch.set_num_threads(1)

    def __call__(self, batch: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One shard in, its number of videos out."""
        index, path = int(batch["plan"][0]), Path(str(batch["path"][0]))
        ids = json.loads(str(batch["videos"][0]))
        if index not in self._loaded:
            self._loaded[index] = self._plans[index].load()
        row_of = self._loaded[index]
        self._plans[index].write(path, [row_of(video_id) for video_id in ids])
        return {"count": np.array([len(ids)])}
