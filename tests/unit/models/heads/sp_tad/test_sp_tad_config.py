"""Settings of SP-TAD: the paper's by default, and a sentence for every one out of range."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sp_tad_cases import small_config

from talaria_models.sp_tad.config import SPTADConfig


def test_defaults_are_those_for_thumos14() -> None:
    config = SPTADConfig()
    assert (config.fps, config.frame_size, config.crop_size) == (10.0, 112, 96)
    assert (config.window_frames, config.train_stride, config.infer_stride) == (256, 30, 128)
    assert (config.num_proposals, config.num_stages, config.num_levels) == (50, 4, 4)
    assert (config.hidden_dim, config.expansion, config.streams) == (256, 5.0, ("rgb", "flow"))


def test_each_stream_has_an_i3d_of_its_own_modality() -> None:
    config = small_config(streams=("rgb", "flow"))
    assert [config.i3d(stream).in_channels for stream in config.streams] == [3, 2]
    assert config.i3d("flow").width == config.backbone_width


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fps", 0.0),
        ("crop_size", 113),
        ("crop_size", 0),
        ("window_frames", 260),
        ("train_stride", 257),
        ("infer_stride", 0),
        ("streams", ()),
        ("streams", ("rgb", "rgb")),
        ("streams", ("depth",)),
        ("backbone_width", 12),
        ("backbone_lr_scale", -1.0),
        ("num_levels", 2),
        ("hidden_dim", 260),
        ("num_proposals", 0),
        ("num_stages", 0),
        ("dynamic_dim", 0),
        ("num_bins", 0),
        ("expansion", 0.0),
        ("dropout", 1.0),
        ("class_prior", 0.0),
        ("focal_alpha", 1.0),
        ("focal_gamma", -0.5),
        ("l1_weight", float("nan")),
        ("match_giou_weight", float("inf")),
    ],
)
def test_settings_out_of_range_name_their_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}: found"):
        dataclasses.replace(SPTADConfig(), **{field: value})
