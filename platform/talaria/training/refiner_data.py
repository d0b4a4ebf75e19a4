"""Full-length features of videos, with the proposals that a refiner moves and the truths they belong to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from talaria.data.timebase import full_features
from talaria.store.feature_store import FeatureStore
from talaria.store.proposal_store import ProposalStore
from talaria.training.datasets import Sample
from talaria.training.job import RefinerSource

RefinerTargets = Callable[[Tensor, Tensor, int], Sample]
"""From proposals (P, 2), truths (G, 2), both fractions of the features, and the number of snippets."""


class RefinerDataset:
    """Videos of any length; batches pad them, `mask` and `valid` say what is real."""

    def __init__(self, source: RefinerSource, targets: RefinerTargets) -> None:
        self._source = source
        self._targets = targets
        self._features = FeatureStore(Path(source.folder))
        self._proposals = ProposalStore(source.proposals)
        self._stride_s = self._features.contract.stride_s

    def __len__(self) -> int:
        return len(self._source.videos)

    def sample(self, index: int, seed: int | None) -> Sample:
        """`features` (C, T) float32, `mask` (T,) all true, and the targets; never changed at random."""
        del seed
        video = self._source.videos[index]
        stored = self._features.read(video.video_id)
        features_TC, scale = full_features(
            stored.features_TC, video.duration_s, self._stride_s, self._source.max_snippets
        )
        offered = self._proposals.read(video.video_id).segments_P2
        rows = [(note.start_s, note.end_s) for note in video.annotations]
        truths_frac = np.array(rows, np.float64).reshape(-1, 2) / video.duration_s
        num_snippets = len(features_TC)
        return {
            "features": torch.from_numpy(np.ascontiguousarray(features_TC.T)),
            "mask": torch.ones(num_snippets, dtype=torch.bool),
            **self._targets(
                torch.from_numpy(offered[: self._source.num_proposals].astype(np.float64) * scale),
                torch.from_numpy(np.clip(truths_frac, 0.0, 1.0) * scale),
                num_snippets,
            ),
        }

    def describe(self, index: int) -> str:
        """The video's id, for messages."""
        return self._source.videos[index].video_id
