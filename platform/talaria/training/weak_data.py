"""What a weakly supervised detector learns from: the classes of videos, and trimmed clips of these."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from talaria.store.checkpoint import load_model
from talaria.training.datasets import Sample, SnippetDataset
from talaria.training.job import TaggedVideo, WeakSource
from talaria_models.kt_mgfn.config import KTMGFNConfig
from talaria_models.kt_mgfn.targets import build_targets, draw_trimmed


class WeakDataset:
    """A video's features (C, T), its classes, and what a trained network makes of random clips of these."""

    def __init__(self, source: WeakSource, config: KTMGFNConfig) -> None:
        """Read what does not change from epoch to epoch.

        Args:
            source: with a teacher where knowledge is transferred.
            config: of the network: how many clips are drawn for a sample, and how long they are.
        """
        self._source, self._config = source, config
        self._index = {label: position for position, label in enumerate(source.classes)}
        self._snippets = SnippetDataset(source, self._targets)
        self._clips = None if source.teacher is None else self._taught(source, Path(source.teacher))

    def __len__(self) -> int:
        return len(self._snippets)

    def sample(self, index: int, seed: int | None) -> Sample:
        """`features` (C, T), `classes` (K,); with a teacher the clips of `draw_trimmed`.

        `seed` decides the clips; None draws the same ones every time.
        """
        sample = self._snippets.sample(index, None)
        if self._clips is None:
            return sample
        pooled_NGH, label_N = self._clips
        labels = self._labels(self._source.videos[index])
        count = self._config.trimmed_clips
        return {**sample, **draw_trimmed(pooled_NGH, label_N, labels, count, seed or 0)}

    def describe(self, index: int) -> str:
        """The video's id, for messages."""
        return self._snippets.describe(index)

    def _labels(self, video: TaggedVideo) -> list[int]:
        return sorted({self._index[label] for label in video.labels})

    def _targets(self, video: TaggedVideo) -> Sample:
        return build_targets(self._labels(video), len(self._index))

    @torch.inference_mode()
    def _taught(self, source: WeakSource, teacher: Path) -> tuple[Tensor, Tensor]:
        """Pooled features (N, G, H) of all trimmed clips, and the class of each."""
        model, _ = load_model(teacher)
        short = replace(source, videos=source.trimmed, num_bins=self._config.trimmed_snippets)
        clips = SnippetDataset(short, self._targets)
        pooled, labels = [], []
        for index, clip in enumerate(source.trimmed):
            sample = clips.sample(index, None)
            output = model.eval()(sample["features"][None], None, sample["classes"][None])
            pooled.append(output.pooled_BGH[0])
            labels.append(self._labels(clip)[0])
        return torch.stack(pooled).clone(), torch.tensor(labels)
