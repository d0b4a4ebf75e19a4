"""Backbone settings as a recipe's author meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from talaria_models.backbones.slowfast import config as slowfast
from talaria_models.backbones.slowfast.config import SlowFastConfig
from talaria_models.backbones.vivit import config as vivit
from talaria_models.backbones.vivit.config import ViViTConfig

NAMED = [
    value
    for module in (slowfast, vivit)
    for value in vars(module).values()
    if isinstance(value, SlowFastConfig | ViViTConfig)
]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("beta_inv", 7),
        ("alpha", 0),
        ("lateral_kernel", 4),
        ("lateral_ratio", 0),
        ("blocks", (3, 4, 0, 3)),
        ("slow_temporal_blocks", (0, 0, 7, 3)),
        ("fast_temporal_blocks", (0, 0, -1, 3)),
        ("dropout", 1.0),
        ("pixel_mean", (114.75, 0.45, 0.45)),
        ("pixel_std", (0.225, 0.0, 0.225)),
    ],
)
def test_slowfast_refuses_and_names_the_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(slowfast.R50_8X8, **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tubelet_frames", 0),
        ("patch_size", 0),
        ("width", 0),
        ("depth", 0),
        ("num_heads", 5),
        ("mlp_width", 0),
        ("temporal_depth", 0),
        ("dropout", -0.1),
        ("head_dropout", 1.0),
        ("pixel_mean", (127.5, 127.5, 127.5)),
    ],
)
def test_vivit_refuses_and_names_the_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(vivit.TINY, **{field: value})


def test_vivit_joint_attention_refuses_a_temporal_encoder() -> None:
    with pytest.raises(ValueError, match=r"^temporal_depth: expected 0 with joint"):
        ViViTConfig(attention="joint", temporal_depth=2)


@pytest.mark.parametrize("config", NAMED)
def test_named_settings_survive_json(config: SlowFastConfig | ViViTConfig) -> None:
    schema = TypeAdapter(type(config))
    assert schema.validate_python(json.loads(json.dumps(asdict(config)))) == config


@pytest.mark.parametrize("cls", [SlowFastConfig, ViViTConfig])
def test_unknown_fields_are_refused(cls: type) -> None:
    with pytest.raises(ValidationError, match="widht"):
        TypeAdapter(cls).validate_python({"widht": 64})


def test_configs_do_not_import_torch() -> None:
    code = (
        "import sys; import talaria_models.backbones.slowfast.config, talaria_models.backbones.vivit.config; "
        "sys.exit('torch' in sys.modules)"
    )
    models = Path(__file__).resolve().parents[4] / "models"
    assert subprocess.run([sys.executable, "-c", code], cwd=models, check=False).returncode == 0
