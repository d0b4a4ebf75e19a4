"""Channel-separated networks: settings, sizes of clips, precision, and that tiny ones learn motion."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from tiny_backbones import randomised, tells_motion_apart

from talaria_models import registry
from talaria_models.backbones.csn.config import IP_R152, IR_R50, IR_R152, PYTORCHVIDEO_R101, TINY, CSNConfig
from talaria_models.backbones.csn.model import CSN

TINY_PRESERVED = replace(TINY, interaction="preserved")
BOTH = pytest.mark.parametrize("config", [TINY, TINY_PRESERVED], ids=["reduced", "preserved"])
PUBLISHED = [
    (IR_R152, 29_703_568),
    (IP_R152, 33_016_592),
    (IR_R50, 13_131_152),
    (PYTORCHVIDEO_R101, 22_213_776),
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("blocks", (3, 8, 0, 3)),
        ("interaction", "none"),
        ("norm_eps", 0.0),
        ("dropout", 1.0),
        ("pixel_mean", (110.2, 100.6, 96.0)),
        ("pixel_std", (0.225, 0.0, 0.225)),
    ],
)
def test_settings_out_of_range_name_the_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(IR_R152, **{field: value})


@pytest.mark.parametrize("config", [TINY, *(config for config, _ in PUBLISHED)])
def test_named_settings_survive_json(config: CSNConfig) -> None:
    fields = json.loads(json.dumps(asdict(config)))
    assert registry.config_from_dict(fields) == config
    assert TypeAdapter(CSNConfig).validate_python(fields) == config
    with pytest.raises(ValidationError, match="widht"):
        TypeAdapter(CSNConfig).validate_python({"widht": 64})


def test_the_config_does_not_import_torch() -> None:
    code = "import sys; import talaria_models.backbones.csn.config; sys.exit('torch' in sys.modules)"
    models = Path(__file__).resolve().parents[4] / "models"
    assert subprocess.run([sys.executable, "-c", code], cwd=models, check=False).returncode == 0


@pytest.mark.parametrize(("config", "parameters"), PUBLISHED)
def test_published_settings_have_the_published_number_of_parameters(
    config: CSNConfig, parameters: int
) -> None:
    with torch.device("meta"):
        model = registry.build(config, num_classes=400, num_frames=32, height=256, width=320)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model.feature_dim == 2048


@BOTH
@pytest.mark.parametrize("size", [(1, 32, 32), (7, 45, 70), (32, 64, 80)])
def test_weights_of_one_size_serve_any_other(config: CSNConfig, size: tuple[int, int, int]) -> None:
    model = CSN(config, 5, *size).eval()
    model.load_state_dict(randomised(CSN(config, 5, 16, 64, 64)).state_dict())
    with torch.inference_mode():
        out = model(torch.randn(2, 3, *size))
    assert out.features_BC.shape == (2, model.feature_dim) == (2, 256)
    assert out.features_BC.isfinite().all()
    assert out.logits_BK.shape == (2, 5)


def test_clips_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, \*\(3, 8, 48, 64\)\), got \(2, 3, 8, 64, 48\)"):
        CSN(TINY, 5, 8, 48, 64)(torch.zeros(2, 3, 8, 64, 48))


@BOTH
def test_a_batch_of_two_equals_two_singles(config: CSNConfig) -> None:
    model = randomised(CSN(config, 5, 8, 48, 64)).eval()
    clips = torch.randn(2, 3, 8, 48, 64)
    with torch.inference_mode():
        both, singles = model(clips), [model(clip) for clip in clips.split(1)]
    for name in ("features_BC", "logits_BK"):
        together = torch.cat([getattr(single, name) for single in singles])
        torch.testing.assert_close(getattr(both, name), together, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(both.logits_BK[0], both.logits_BK[1], atol=1e-3)


@BOTH
def test_channels_meet_only_where_the_settings_say(config: CSNConfig) -> None:
    """Of a bottleneck's middle, one changed input channel reaches itself alone, or all if they are mixed."""
    block = randomised(CSN(config, 5, 8, 32, 32)).eval().stages[1][0]
    inside = torch.rand(1, 16, 4, 8, 8)
    changed = inside.clone()
    changed[:, 3] += torch.rand(4, 8, 8)
    with torch.inference_mode():
        moved = (block.b(block.mix(changed)) - block.b(block.mix(inside))).abs().amax((0, 2, 3, 4)) > 1e-4
    if config.interaction == "reduced":
        assert moved.nonzero().flatten().tolist() == [3]
    else:
        assert moved.sum() > 8


@BOTH
def test_half_precision_keeps_features_in_float32(config: CSNConfig) -> None:
    model = randomised(CSN(config, 5, 8, 48, 64))
    clips = torch.randn(2, 3, 8, 48, 64)
    with torch.autocast("cpu", torch.bfloat16):
        model(clips).logits_BK.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    model.eval()
    with torch.inference_mode():
        exact = model(clips).features_BC
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(clips).features_BC
    assert rounded.dtype == torch.float32
    assert (rounded - exact).abs().max() < 0.02 * exact.abs().max()


@BOTH
def test_built_on_the_meta_device_and_brought_to_life(config: CSNConfig) -> None:
    with torch.device("meta"):
        model = CSN(config, 5, 8, 48, 64)
    assert all(parameter.is_meta for parameter in model.parameters())
    model = model.to_empty(device="cpu")
    ordinary = CSN(config, 5, 8, 48, 64)
    for built in (model, ordinary):
        torch.manual_seed(3)
        built.init_weights()
    clips = torch.randn(1, 3, 8, 48, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(clips).logits_BK, ordinary.eval()(clips).logits_BK)


@BOTH
def test_a_tiny_one_learns_the_direction_of_motion(config: CSNConfig) -> None:
    assert tells_motion_apart(config, lr=8e-3)
