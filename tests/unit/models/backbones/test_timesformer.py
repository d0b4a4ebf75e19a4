"""TimeSformer: settings, sizes of clips, which patches see each other, published keys, and learning."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from tiny_backbones import randomised, tells_order_apart
from torch import Tensor, nn

from talaria_models import registry
from talaria_models.backbones.timesformer.checkpoint import load_published
from talaria_models.backbones.timesformer.config import (
    DIVIDED_BASE,
    JOINT_BASE,
    MMACTION2_DIVIDED_BASE,
    SPACE_ONLY_BASE,
    TINY,
    TimeSformerConfig,
)
from talaria_models.backbones.timesformer.model import TimeSformer

JOINT, SPACE = (replace(TINY, attention=kind) for kind in ("joint_space_time", "space_only"))
ALL = pytest.mark.parametrize("config", [TINY, JOINT, SPACE], ids=lambda config: config.attention)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def small(config: TimeSformerConfig, num_classes: int = 3) -> TimeSformer:
    return TimeSformer(config, num_classes, 4, 32, 32)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("attention", "joint"),
        ("frame_step", 0),
        ("patch_size", 0),
        ("width", 0),
        ("depth", 0),
        ("num_heads", 5),
        ("mlp_width", 0),
        ("dropout", 1.0),
        ("head_dropout", -0.1),
        ("pixel_mean", (114.75, 0.45, 0.45)),
        ("pixel_std", (0.225, 0.0, 0.225)),
    ],
)
def test_settings_out_of_range_name_the_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(TINY, **{field: value})


@pytest.mark.parametrize("config", [TINY, DIVIDED_BASE, JOINT_BASE, SPACE_ONLY_BASE, MMACTION2_DIVIDED_BASE])
def test_named_settings_survive_json(config: TimeSformerConfig) -> None:
    fields = json.loads(json.dumps(asdict(config)))
    assert registry.config_from_dict(fields) == config
    assert TypeAdapter(TimeSformerConfig).validate_python(fields) == config
    with pytest.raises(ValidationError, match="widht"):
        TypeAdapter(TimeSformerConfig).validate_python({"widht": 64})


def test_configs_import_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, talaria_models.backbones.timesformer.config, talaria_models.backbones.videomae.config; "
        "sys.exit(bool({'torch', 'transformers'} & sys.modules.keys()))"
    )
    models = Path(__file__).resolve().parents[4] / "models"
    assert subprocess.run([sys.executable, "-c", code], cwd=models, check=False).returncode == 0


@pytest.mark.parametrize(
    ("config", "parameters"),
    [(DIVIDED_BASE, 121_566_352), (JOINT_BASE, 86_112_400), (SPACE_ONLY_BASE, 86_106_256)],
)
def test_published_settings_have_the_published_number_of_parameters(
    config: TimeSformerConfig, parameters: int
) -> None:
    with torch.device("meta"):
        model = TimeSformer(config, 400, 8, 224, 224)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@ALL
@pytest.mark.parametrize("size", [(1, 32, 32), (6, 48, 48)])
def test_a_batch_of_two_equals_two_singles(config: TimeSformerConfig, size: tuple[int, int, int]) -> None:
    model = randomised(TimeSformer(config, 5, *size)).eval()
    clips = torch.randn(2, 3, *size)
    with torch.inference_mode():
        both, singles = model(clips), [model(clip) for clip in clips.split(1)]
    assert both.features_BC.shape == (2, model.feature_dim) == (2, 64)
    for name in ("features_BC", "logits_BK"):
        together = torch.cat([getattr(single, name) for single in singles])
        torch.testing.assert_close(getattr(both, name), together, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(both.logits_BK[0], both.logits_BK[1], atol=1e-3)


def test_clips_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="patch_size: width 40"):
        TimeSformer(TINY, 5, 4, 32, 40)
    with pytest.raises(ValueError, match="frame_step: num_frames 10"):
        TimeSformer(replace(TINY, frame_step=4), 5, 10, 32, 32)
    with pytest.raises(ValueError, match="square clips, got height 32 and width 48"):
        TimeSformer(TINY, 5, 4, 32, 48)
    with pytest.raises(ValueError, match=r"\(B, \*\(3, 4, 32, 32\)\), got \(2, 3, 8, 32, 32\)"):
        small(TINY)(torch.zeros(2, 3, 8, 32, 32))


def test_a_step_sees_the_middle_one_of_so_many_frames() -> None:
    stepped = randomised(TimeSformer(replace(TINY, frame_step=4), 5, 12, 32, 32)).eval()
    plain = TimeSformer(TINY, 5, 3, 32, 32).eval()
    plain.load_state_dict(stepped.state_dict())
    clips = torch.randn(2, 3, 12, 32, 32)
    with torch.inference_mode():
        seen = plain(clips[:, :, [2, 6, 10]]).features_BC
        torch.testing.assert_close(stepped(clips).features_BC, seen)


@ALL
def test_space_alone_knows_no_order_of_frames(config: TimeSformerConfig) -> None:
    model = randomised(small(config)).eval()
    clips = torch.randn(2, 3, 4, 32, 32)
    with torch.inference_mode():
        same = torch.allclose(model(clips).features_BC, model(clips.flip(2)).features_BC, atol=1e-4)
    assert same is (config.attention == "space_only")


def test_divided_attention_over_time_joins_the_same_patch_alone() -> None:
    """What one changed patch of one frame changes after a block's attention over time."""
    model = randomised(small(TINY)).eval()
    clips = torch.randn(1, 3, 4, 32, 32)
    other = clips.clone()
    other[:, :, 1, :16, 16:] += 1.0  # frame 1, patch 1 of 4
    changed: list[Tensor] = []
    attention = model.network.encoder.layer[0].temporal_attention
    attention.register_forward_hook(lambda _module, _inputs, out: changed.append(out[0]))
    with torch.inference_mode():
        model(clips), model(other)
    assert (changed[0] != changed[1]).any(-1).any(-1).tolist() == [False, True, False, False]


@ALL
def test_dropout_before_the_classifier_leaves_features_as_they_are(config: TimeSformerConfig) -> None:
    model = randomised(small(replace(config, head_dropout=0.5)))
    clips = torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        first, second = model(clips), model(clips)
        assert torch.equal(first.features_BC, second.features_BC)
        assert not torch.equal(first.logits_BK, second.logits_BK)
        assert torch.equal(model.eval()(clips).logits_BK, model(clips).logits_BK)


@ALL
def test_built_on_the_meta_device_and_brought_to_life(config: TimeSformerConfig) -> None:
    with torch.device("meta"):
        model = small(config)
    assert all(parameter.is_meta for parameter in model.parameters())
    model, ordinary = model.to_empty(device="cpu"), small(config)
    for each in (model, ordinary):
        torch.manual_seed(3)
        each.init_weights()
    clips = torch.randn(1, 3, 4, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(clips).logits_BK, ordinary.eval()(clips).logits_BK)


def test_bfloat16_reaches_every_weight() -> None:
    model = randomised(small(TINY))
    with torch.autocast("cpu", torch.bfloat16):
        model(torch.randn(2, 3, 4, 32, 32)).logits_BK.float().square().mean().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


def test_mmaction2_layout(shared: Path) -> None:
    layout = json.loads((shared / "goldens/layouts/mmaction2_timesformer_divST.json").read_text())["layout"]
    with torch.device("meta"):
        weights = {key: torch.empty(shape) for key, (shape, _) in layout.items()}
        load_published(TimeSformer(MMACTION2_DIVIDED_BASE, 400, 8, 224, 224), {"state_dict": weights})


@ALL
def test_other_classes_keep_their_head(config: TimeSformerConfig) -> None:
    source, model = randomised(small(config)), small(config, num_classes=7)
    before = model.head.weight.clone()
    published = {
        key.replace("network.", "timesformer.").replace("head.", "classifier."): value
        for key, value in source.state_dict().items()
    }
    load_published(model, published, head=False)
    assert torch.equal(model.head.weight, before)
    model.head = source.head
    ours, theirs = model.state_dict(), source.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_keys_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"no known TimeSformer layout: .* found stem\.0\.weight"):
        load_published(small(TINY), {"stem.0.weight": torch.zeros(1)})
    weights = {"cls_token": torch.zeros(1, 1, 32), "blocks.0.ls1.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match="do not fit") as error:
        load_published(small(TINY), {"model_state": {f"model.{k}": v for k, v in weights.items()}})
    assert "1 unknown: blocks.0.ls1.weight" in str(error.value)
    assert "1 of another shape: cls_token (1, 1, 32) for (1, 1, 64)" in str(error.value)
    assert "missing: head.bias, head.weight, network.embeddings.patch_embeddings" in str(error.value)


@pytest.mark.parametrize("config", [TINY, JOINT], ids=lambda config: config.attention)
def test_a_tiny_one_learns_the_order_of_frames(config: TimeSformerConfig) -> None:
    """From weights of the size that a trained one of width 768 has; 0.02 at width 64 is next to nothing."""
    model = TimeSformer(config, 2, 8, 32, 32)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight.mul_((768 / config.width) ** 0.5)
        for positions in model.network.embeddings.parameters(recurse=False):
            positions.mul_(10.0)
    assert tells_order_apart(model, lr=5e-4)
