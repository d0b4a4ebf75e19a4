"""Map-style datasets: sampled clips for backbones, resized features with targets for heads.

Ray Train's own dataset feeding starves small clusters (docs/adr/0003), so trainings read the stores directly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talaria.data.timebase import resize_snippets
from talaria.store.feature_store import FeatureStore
from talaria.training.augment import augmented
from talaria.training.job import ClipSource, SnippetSource, WeakSource

Sample = dict[str, Tensor]
Targets = Callable[[Any], Sample]
"""From a video of the source, with what is known of it, to what a model learns from it."""
_CACHE_BYTES = 2**30


class ClipDataset:
    """Clips and their class; files are mapped, not read whole."""

    def __init__(self, source: ClipSource) -> None:
        self._source = source
        self._ends = np.cumsum([len(labels) for labels in source.labels]).tolist()
        self._files: dict[int, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def sample(self, index: int, seed: int | None) -> Sample:
        """Clip (L, H, W, channels) uint8, changed at random unless `seed` is None, and `label` ()."""
        file, position = self._locate(index)
        if file not in self._files:
            self._files[file] = np.load(self._source.files[file], mmap_mode="r")
        clip = np.array(self._files[file][position])
        if seed is not None:
            source = self._source
            flow = source.spec.flow is not None
            clip = augmented(clip, seed, flip=source.flip, jitter=source.jitter, flow=flow)
        label = self._source.labels[file][position]
        return {"clips": torch.from_numpy(clip), "label": torch.tensor(label, dtype=torch.int64)}

    def describe(self, index: int) -> str:
        """The video that a sample comes from, for messages."""
        return Path(self._source.files[self._locate(index)[0]]).stem

    def _locate(self, index: int) -> tuple[int, int]:
        file = bisect_right(self._ends, index)
        return file, index - (self._ends[file - 1] if file else 0)


class SnippetDataset:
    """A video's features (C, T) resized to T bins, and its targets."""

    def __init__(self, source: SnippetSource | WeakSource, targets: Targets) -> None:
        self._source = source
        self._targets = targets
        self._store = FeatureStore(Path(source.folder))
        self._stride_s = self._store.contract.stride_s
        self._cache: dict[int, Sample] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self._source.videos)

    def sample(self, index: int, seed: int | None) -> Sample:
        """`features` (C, T) float32 beside the targets; never changed at random."""
        del seed
        if index in self._cache:
            return self._cache[index]
        video = self._source.videos[index]
        stored = self._store.read(video.video_id)
        resized = resize_snippets(stored.features_TC, video.duration_s, self._stride_s, self._source.num_bins)
        features_CT = torch.from_numpy(np.ascontiguousarray(resized.T, dtype=np.float32))
        sample = {"features": features_CT, **self._targets(video)}
        size = sum(tensor.nbytes for tensor in sample.values())
        if self._cached_bytes + size <= _CACHE_BYTES:
            self._cache[index] = sample
            self._cached_bytes += size
        return sample

    def describe(self, index: int) -> str:
        """The video's id, for messages."""
        return self._source.videos[index].video_id


def stacked(samples: list[Sample]) -> Sample:
    """Samples as one batch; shorter tensors are padded with zeros at the end of each dimension."""
    return {key: _stacked([sample[key] for sample in samples]) for key in samples[0]}


def _stacked(tensors: list[Tensor]) -> Tensor:
    shapes = [tensor.shape for tensor in tensors]
    if all(shape == shapes[0] for shape in shapes):
        return torch.stack(tensors)
    batch = tensors[0].new_zeros(len(tensors), *map(max, zip(*shapes, strict=True)))
    for row, tensor in zip(batch, tensors, strict=True):
        row[tuple(map(slice, tensor.shape))] = tensor
    return batch
