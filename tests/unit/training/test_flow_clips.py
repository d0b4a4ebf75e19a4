"""Clips of flow in training: a mirror turns motion around, jitter moves it, networks see it from -1 to 1."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import SPEC

from talaria.config.specs import FlowSpec
from talaria.training.augment import augmented
from talaria.training.datasets import ClipDataset
from talaria.training.job import ClipSource
from talaria_models.backbones.i3d.config import FLOW, RGB
from talaria_models.backbones.pixels import network_input


@pytest.fixture
def clip() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (4, 6, 8, 2), np.uint8)


def motion(clip: np.ndarray) -> np.ndarray:
    return clip.astype(int) - 128


def test_a_mirror_turns_motion_along_x_around(clip: np.ndarray) -> None:
    seen = set()
    for seed in range(20):
        changed = augmented(clip, seed, flip=True, jitter=0.0, flow=True)
        if not np.array_equal(changed, clip):
            np.testing.assert_array_equal(motion(changed)[..., 0], -motion(clip)[:, :, ::-1, 0])
            np.testing.assert_array_equal(changed[..., 1], clip[:, :, ::-1, 1])
        seen.add(np.array_equal(changed, clip))
    assert seen == {True, False}


def test_jitter_moves_flow_but_never_changes_it(clip: np.ndarray) -> None:
    rows, columns = np.mgrid[:6, :8].astype(np.uint8) + 100
    clip[...] = np.stack([rows, columns], axis=-1)
    shifts = set()
    for seed in range(20):
        changed = augmented(clip, seed, flip=False, jitter=1.0, flow=True)[0].astype(int)
        rise, shift = changed[2, 4, 0] - 102, changed[2, 4, 1] - 104
        np.testing.assert_array_equal(changed[..., 0], np.clip(rows.astype(int) + rise, 100, 105))
        np.testing.assert_array_equal(changed[..., 1], np.clip(columns.astype(int) + shift, 100, 107))
        shifts.add((rise, shift))
    assert len(shifts) > 2


def test_colours_and_flow_of_one_seed_are_mirrored_alike(clip: np.ndarray) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (4, 6, 8, 3), np.uint8)
    for seed in range(20):
        mirrored = np.array_equal(augmented(colours, seed, flip=True, jitter=0.0, flow=False), colours)
        assert np.array_equal(augmented(clip, seed, flip=True, jitter=0.0, flow=True), clip) == mirrored


def test_a_source_of_flow_is_changed_as_flow(tmp_path: Path, clip: np.ndarray) -> None:
    np.save(tmp_path / "v.npy", clip[None])
    spec = replace(SPEC, height=16, width=16, flow=FlowSpec())
    data = ClipDataset(ClipSource((str(tmp_path / "v.npy"),), ((0,),), spec, flip=True, jitter=0.0))
    x_sums = {int((data.sample(0, seed)["clips"][..., 0].int() - 128).sum()) for seed in range(20)}
    total = int(motion(clip)[..., 0].sum())
    assert x_sums == {total, -total}


def test_a_network_is_given_flow_from_minus_one_to_one() -> None:
    stored = torch.tensor([1, 128, 255], dtype=torch.uint8).repeat(2, 2, 4, 2, 1).movedim(-1, 3)
    clips = torch.cat([stored, stored], dim=-1).reshape(2, 2, 4, 3, 4)[..., :2].contiguous()
    given = network_input(clips, FLOW)
    assert given.shape == (2, 2, 2, 4, 3)
    assert set(given.unique().tolist()) <= {-1.0, 0.0, 1.0}
    assert torch.equal(given == 0, (clips == 128).permute(0, 4, 1, 2, 3))
    with pytest.raises(ValueError, match=r"expected uint8 \(B, L, H, W, 2\)"):
        network_input(torch.zeros(1, 2, 4, 3, 3, dtype=torch.uint8), FLOW)
    with pytest.raises(ValueError, match=r"expected uint8 \(B, L, H, W, 3\)"):
        network_input(clips, RGB)
