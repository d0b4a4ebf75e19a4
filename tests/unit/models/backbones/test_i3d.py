"""I3D: settings, "same" zeros, sizes of clips, its stages, precision, and that a tiny one learns motion."""

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
from torch.utils.flop_counter import FlopCounterMode

from talaria_models import registry
from talaria_models.backbones.i3d.config import FLOW, RGB, TINY, I3DConfig
from talaria_models.backbones.i3d.model import I3D, SamePad, windows

TINY_FLOW = replace(TINY, modality="flow")
BOTH = pytest.mark.parametrize("config", [TINY, TINY_FLOW], ids=["rgb", "flow"])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modality", "depth"),
        ("width", 0),
        ("width", 12),
        ("dropout", 1.0),
        ("pixel_mean", (127.5, 127.5, 127.5)),
        ("pixel_std", (0.5, 0.0, 0.5)),
    ],
)
def test_settings_out_of_range_name_the_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(RGB, **{field: value})


@pytest.mark.parametrize("config", [RGB, FLOW, TINY])
def test_named_settings_survive_json(config: I3DConfig) -> None:
    fields = json.loads(json.dumps(asdict(config)))
    assert registry.config_from_dict(fields) == config
    assert TypeAdapter(I3DConfig).validate_python(fields) == config
    with pytest.raises(ValidationError, match="widht"):
        TypeAdapter(I3DConfig).validate_python({"widht": 64})


def test_the_config_does_not_import_torch() -> None:
    code = "import sys; import talaria_models.backbones.i3d.config; sys.exit('torch' in sys.modules)"
    models = Path(__file__).resolve().parents[4] / "models"
    assert subprocess.run([sys.executable, "-c", code], cwd=models, check=False).returncode == 0


@pytest.mark.parametrize(
    ("config", "parameters", "giga_macs"), [(RGB, 12_697_264, 111.15), (FLOW, 12_675_312, 102.34)]
)
def test_published_settings_have_the_published_size(
    config: I3DConfig, parameters: int, giga_macs: float
) -> None:
    with torch.device("meta"):
        model = registry.build(config, num_classes=400, num_frames=64, height=224, width=224)
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, config.in_channels, 64, 224, 224))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga_macs, abs=0.005)
    assert model.pyramid_dims == (480, 832, 1024)
    assert model.feature_dim == 1024


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before", "after"),
    [
        (224, 7, 2, 2, 3),
        (75, 7, 2, 3, 3),
        (1, 7, 2, 3, 3),
        (112, 3, 2, 0, 1),
        (19, 3, 2, 1, 1),
        (6, 2, 2, 0, 0),
        (5, 2, 2, 0, 1),
        (9, 1, 1, 0, 0),
        (4, 1, 2, 0, 0),
    ],
)
def test_an_odd_zero_comes_last(size: int, kernel: int, stride: int, before: int, after: int) -> None:
    line = torch.ones(1, 1, 2, 3, size)
    padded = SamePad((1, 1, kernel), (1, 1, stride))(line)
    assert padded[0, 0, 0, 0].tolist() == [0.0] * before + [1.0] * size + [0.0] * after
    assert padded.shape[:4] == line.shape[:4]


@BOTH
@pytest.mark.parametrize("size", [(1, 32, 32), (7, 45, 70), (33, 64, 80)])
def test_weights_of_one_size_serve_any_other(config: I3DConfig, size: tuple[int, int, int]) -> None:
    model = I3D(config, 5, *size).eval()
    model.load_state_dict(randomised(I3D(config, 5, 16, 64, 64)).state_dict())
    clips = torch.randn(2, config.in_channels, *size)
    with torch.inference_mode():
        out, levels = model(clips), model.pyramid(clips)
    assert out.features_BC.shape == (2, model.feature_dim) == (2, 128)
    assert out.features_BC.isfinite().all()
    assert out.logits_BK.shape == (2, 5)
    for level, channels, time, space in zip(levels, model.pyramid_dims, (2, 4, 8), (8, 16, 32), strict=True):
        strided = [-(-full // stride) for full, stride in zip(size, (time, space, space), strict=True)]
        assert list(level.shape) == [2, channels, *strided]


def test_clips_of_another_size_or_modality_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, \*\(3, 8, 48, 64\)\), got \(2, 3, 8, 64, 48\)"):
        I3D(TINY, 5, 8, 48, 64)(torch.zeros(2, 3, 8, 64, 48))
    with pytest.raises(ValueError, match=r"\(B, \*\(2, 8, 48, 64\)\), got \(2, 3, 8, 48, 64\)"):
        I3D(TINY_FLOW, 5, 8, 48, 64).pyramid(torch.zeros(2, 3, 8, 48, 64))


@BOTH
def test_a_batch_of_two_equals_two_singles(config: I3DConfig) -> None:
    model = randomised(I3D(config, 5, 8, 48, 64)).double().eval()
    clips = torch.randn(2, config.in_channels, 8, 48, 64, dtype=torch.float64)
    with torch.inference_mode():
        both, singles = model(clips), [model(clip) for clip in clips.split(1)]
    for name in ("features_BC", "logits_BK"):
        together = torch.cat([getattr(single, name) for single in singles])
        torch.testing.assert_close(getattr(both, name), together, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(both.logits_BK[0], both.logits_BK[1], atol=1e-3)


def test_the_classifier_sees_windows_of_two_places() -> None:
    last = torch.randn(2, 3, 4, 5, 6)
    means = last.mean((3, 4))
    expected = torch.stack([(means[..., t] + means[..., t + 1]) / 2 for t in range(3)], dim=2)
    torch.testing.assert_close(windows(last), expected)
    torch.testing.assert_close(windows(last[:, :, :1]), means[..., :1])


def test_logits_are_the_mean_over_the_windows() -> None:
    model = randomised(I3D(TINY, 5, 32, 32, 32)).double().eval()
    clips = torch.randn(2, 3, 32, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        out, seen = model(clips), windows(model.pyramid(clips)[-1])
        each = torch.stack([model.head(window) for window in seen.unbind(2)])
    assert each.shape == (3, 2, 5)
    torch.testing.assert_close(out.logits_BK, each.mean(0), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(each[0], each[1], atol=1e-3)


@BOTH
def test_half_precision_keeps_features_in_float32(config: I3DConfig) -> None:
    """No stage has two places in time, where oneDNN 3.12 leaves bfloat16 gradients of weights unset."""
    model = randomised(I3D(config, 5, 24, 48, 64))
    clips = torch.randn(2, config.in_channels, 24, 48, 64)
    with torch.autocast("cpu", torch.bfloat16):
        model(clips).logits_BK.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    model.eval()
    with torch.inference_mode():
        exact = model(clips).features_BC
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(clips).features_BC
    assert rounded.dtype == torch.float32
    assert (rounded - exact).norm() < 0.02 * exact.norm()  # 0.004 to 0.009 over 24 draws of weights


@BOTH
def test_built_on_the_meta_device_and_brought_to_life(config: I3DConfig) -> None:
    with torch.device("meta"):
        model = I3D(config, 5, 8, 48, 64)
    assert all(parameter.is_meta for parameter in model.parameters())
    model = model.to_empty(device="cpu")
    ordinary = I3D(config, 5, 8, 48, 64)
    for built in (model, ordinary):
        torch.manual_seed(3)
        built.init_weights()
    clips = torch.randn(1, config.in_channels, 8, 48, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(clips).logits_BK, ordinary.eval()(clips).logits_BK)


def test_dropout_acts_in_training_only() -> None:
    model = randomised(I3D(TINY, 5, 8, 32, 32))
    clips = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        assert not torch.equal(model(clips).logits_BK, model(clips).logits_BK)
        model.eval()
        assert torch.equal(model(clips).logits_BK, model(clips).logits_BK)


def test_a_tiny_one_learns_the_direction_of_motion() -> None:
    assert tells_motion_apart(TINY, lr=8e-3)
