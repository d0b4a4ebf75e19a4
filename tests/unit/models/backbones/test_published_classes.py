"""From a model's name to the loader of its published checkpoints, and the classes that one tells apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from talaria_models.backbones.csn.config import IR_R50
from talaria_models.backbones.csn.config import TINY as TINY_CSN
from talaria_models.backbones.i3d.config import TINY as TINY_I3D
from talaria_models.backbones.published import published_classes
from talaria_models.backbones.slowfast.config import MMACTION2_R50_8X8
from talaria_models.registry import BackboneConfig, build, published_loader

SIZE = {"num_frames": 8, "height": 32, "width": 32}


@pytest.mark.parametrize(
    ("config", "layout"),
    [(MMACTION2_R50_8X8, "mmaction2_slowfast_r50_8x8"), (IR_R50, "mmaction2_csn_ir_r50")],
)
def test_recorded_layouts_have_the_classes_of_kinetics(
    shared: Path, config: BackboneConfig, layout: str
) -> None:
    keys = json.loads((shared / f"goldens/layouts/{layout}.json").read_text())["layout"]
    with torch.device("meta"):
        weights = {key: torch.empty(shape) for key, (shape, _) in keys.items()}
        model = build(config, num_classes=1, **SIZE)
        assert published_classes(published_loader(config), model, weights) == 400


def test_i3ds_classifier_is_a_convolution() -> None:
    weights = {"logits.conv3d.weight": torch.zeros(157, 128, 1, 1, 1), "logits.conv3d.bias": torch.zeros(157)}
    model = build(TINY_I3D, num_classes=1, **SIZE)
    assert published_classes(published_loader(TINY_I3D), model, weights) == 157


@pytest.mark.parametrize("weights", [{}, {"conv1.weight": torch.zeros(3)}])
def test_what_does_not_fit_at_all_is_left_to_the_loader(weights: dict[str, torch.Tensor]) -> None:
    model = build(TINY_CSN, num_classes=1, **SIZE)
    assert published_classes(published_loader(TINY_CSN), model, weights) == 1
