"""Saved backbones on clips of another height and width than they were trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from talaria.errors import DataError
from talaria.store.checkpoint import SavedModel, load_model, save_model
from talaria_models.backbones.csn import config as csn
from talaria_models.backbones.i3d import config as i3d
from talaria_models.backbones.slowfast import config as slowfast
from talaria_models.backbones.timesformer import config as timesformer
from talaria_models.backbones.videomae import config as videomae
from talaria_models.backbones.vivit import config as vivit
from talaria_models.registry import build

TRAINED = {"num_classes": 3, "num_frames": 8, "height": 32, "width": 32}


def saved(folder: Path, config: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    model = build(config, **TRAINED)
    save_model(folder, model, SavedModel(config, TRAINED, {}))
    return model.state_dict()


@pytest.mark.parametrize("config", [slowfast.TINY, csn.TINY, i3d.TINY], ids=lambda config: config.name)
def test_convolutions_take_other_clips_with_the_same_weights(tmp_path: Path, config: Any) -> None:
    weights = saved(tmp_path, config)
    model, card = load_model(tmp_path, height=48, width=64)
    assert card.sizes == TRAINED
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 8, 48, 64)).logits_BK.shape == (1, 3)


@pytest.mark.parametrize(
    "config", [vivit.TINY, timesformer.TINY, videomae.TINY], ids=lambda config: config.name
)
def test_networks_with_a_position_for_every_patch_are_refused(tmp_path: Path, config: Any) -> None:
    saved(tmp_path, config)
    assert load_model(tmp_path, height=32, width=32)[1].sizes == TRAINED
    with pytest.raises(DataError) as refused:
        load_model(tmp_path, height=64, width=64)
    assert str(refused.value) == (
        f"{tmp_path}: {config.name} was trained on height 32, width 32, found height 64, width 64 in clip"
    )
