"""Samples of a training: clips from files, features resized to the grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tiny_training import SPEC, clip_files, feature_store

from talaria.data.timebase import resize_snippets
from talaria.store.feature_store import FeatureStore
from talaria.training.datasets import ClipDataset, SnippetDataset, stacked
from talaria.training.job import ClipSource


def test_clips_of_all_files_are_numbered_through(tmp_path: Path) -> None:
    source = clip_files(tmp_path / "clips")
    data = ClipDataset(source)
    assert len(data) == 5
    samples = [data.sample(index, None) for index in range(5)]
    assert [int(sample["label"]) for sample in samples] == [0, 1, 1, 2, 0]
    assert [data.describe(index) for index in range(5)] == ["v.0", "v.0", "v.1", "v.1", "v.2"]
    np.testing.assert_array_equal(samples[3]["clips"].numpy(), np.load(source.files[1])[1])
    assert stacked(samples)["clips"].shape == (5, 8, 32, 32, 3)
    assert stacked(samples)["clips"].dtype == torch.uint8


def test_clips_change_by_their_seed_alone(tmp_path: Path) -> None:
    source = replace(clip_files(tmp_path / "clips"), jitter=0.0)
    data = ClipDataset(source)
    plain = data.sample(0, None)["clips"]
    seen = {int(torch.equal(data.sample(0, seed)["clips"], plain)) for seed in range(20)}
    mirrored = {int(torch.equal(data.sample(0, seed)["clips"], plain.flip(2))) for seed in range(20)}
    assert seen == mirrored == {0, 1}, "some are mirrored along the width, the others untouched"
    for seed in range(5):
        assert torch.equal(data.sample(0, seed)["clips"], ClipDataset(source).sample(0, seed)["clips"])
    untouched = ClipDataset(replace(source, flip=False))
    assert all(torch.equal(untouched.sample(0, seed)["clips"], plain) for seed in range(20))


def test_no_clips_are_no_samples() -> None:
    assert len(ClipDataset(ClipSource((), (), SPEC, flip=False, jitter=0.0))) == 0


def test_features_lie_on_the_grid_beside_their_targets(tmp_path: Path) -> None:
    source = feature_store(tmp_path, 3)
    data = SnippetDataset(source, lambda video: {"length": torch.tensor(video.duration_s)})
    first = data.sample(1, 5)
    stored = FeatureStore(tmp_path).read("video_1").features_TC
    expected = resize_snippets(stored, 6.0, 0.5, source.num_bins).T
    np.testing.assert_array_equal(first["features"].numpy(), expected)
    assert first["features"].is_contiguous()
    assert float(first["length"]) == 6.0
    assert torch.equal(data.sample(1, 7)["features"], first["features"]), "and again, now from memory"
    assert data.describe(1) == "video_1"
    assert len(data) == 3
