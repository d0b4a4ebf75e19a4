"""Published checkpoints: key layouts, containers, other classes, and errors that name the keys."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from talaria_models.backbones.slowfast import checkpoint as slowfast_checkpoint
from talaria_models.backbones.slowfast import config as slowfast
from talaria_models.backbones.slowfast.model import SlowFast
from talaria_models.backbones.vivit import checkpoint as vivit_checkpoint
from talaria_models.backbones.vivit import config as vivit
from talaria_models.backbones.vivit.model import ViViT


def pyslowfast_key(key: str) -> str:
    """What PySlowFast calls one of our weights."""
    if key.startswith("head."):
        return key.replace("head", "head.projection")
    if found := re.fullmatch(r"laterals\.(\d)\.(conv|norm)\.(\w+)", key):
        part = {"conv": "conv_f2s", "norm": "bn"}[found[2]]
        return f"s{int(found[1]) + 1}_fuse.{part}.{found[3]}"
    pathway = f"pathway{int(key.startswith('fast'))}"
    if found := re.fullmatch(r"\w+\.stem\.(conv|norm)\.(\w+)", key):
        return f"s1.{pathway}_stem.{found[1].replace('norm', 'bn')}.{found[2]}"
    stage, block, part, kind, leaf = re.fullmatch(
        r"\w+\.stages\.(\d)\.(\d+)\.(\w+)\.(conv|norm)\.(\w+)", key
    ).groups()
    branch = "branch1" if part == "shortcut" else f"branch2.{part}"
    norm = "_bn" if kind == "norm" else ""
    return f"s{int(stage) + 2}.{pathway}_res{block}.{branch}{norm}.{leaf}"


def tiny(num_classes: int = 3) -> SlowFast:
    return SlowFast(slowfast.TINY, num_classes, 8, 32, 32)


@pytest.fixture
def source() -> SlowFast:
    torch.manual_seed(0)
    model = tiny()
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor))
    return model


@pytest.fixture
def published(source: SlowFast) -> dict[str, Tensor]:
    return {pyslowfast_key(key): value for key, value in source.state_dict().items()}


def unequal(model: SlowFast, source: SlowFast) -> set[str]:
    """Weights that differ, but for the counters of batch norm."""
    ours, theirs = model.state_dict(), source.state_dict()
    return {key for key in ours if "num_batches" not in key and not torch.equal(ours[key], theirs[key])}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_weight_arrives(source: SlowFast, published: dict[str, Tensor], prefix: str) -> None:
    model = tiny()
    container = {"epoch": 3, "model_state": {prefix + key: value for key, value in published.items()}}
    slowfast_checkpoint.load_published(model, container)
    assert unequal(model, source) == set()


def test_other_classes_keep_their_head(source: SlowFast, published: dict[str, Tensor]) -> None:
    model = tiny(num_classes=7)
    before = model.head.weight.clone()
    slowfast_checkpoint.load_published(model, published, head=False)
    assert torch.equal(model.head.weight, before)
    model.head = source.head
    assert unequal(model, source) == set()


def test_errors_name_every_key_and_change_nothing(published: dict[str, Tensor]) -> None:
    model = tiny()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    del published["s2_fuse.bn.running_var"]
    published["s9.mystery.weight"] = torch.zeros(1)
    published["s2.pathway0_res5.branch2.a.weight"] = torch.zeros(1)
    published["head.projection.weight"] = torch.zeros(400, 320)
    with pytest.raises(ValueError, match="do not fit") as error:
        slowfast_checkpoint.load_published(model, published)
    message = str(error.value)
    assert "2 unknown: s9.mystery.weight, s2.pathway0_res5.branch2.a.weight" in message
    assert "1 of another shape: head.projection.weight (400, 320) for (3, 320)" in message
    assert "1 missing: laterals.1.norm.running_var" in message
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_an_unknown_layout_names_what_was_found() -> None:
    with pytest.raises(ValueError, match=r"no known SlowFast layout: .* found conv1\.weight"):
        slowfast_checkpoint.load_published(tiny(), {"conv1.weight": torch.zeros(1)})


def test_mmaction2_r50_layout(shared: Path) -> None:
    layout = json.loads((shared / "goldens/layouts/mmaction2_slowfast_r50_8x8.json").read_text())["layout"]
    with torch.device("meta"):
        weights = {key: torch.empty(shape) for key, (shape, _) in layout.items()}
        model = SlowFast(slowfast.MMACTION2_R50_8X8, 400, 32, 224, 224)
        slowfast_checkpoint.load_published(model, weights)


def test_vivit_names_keys_of_another_release() -> None:
    model = ViViT(vivit.ViViTConfig(width=24, depth=1, num_heads=2, mlp_width=8), 3, 4, 32, 32)
    with pytest.raises(ValueError, match=r"unknown: vivit\.layers\.0\.attention\.q_proj\.weight") as error:
        vivit_checkpoint.load_published(
            model, {"vivit.layers.0.attention.q_proj.weight": torch.zeros(24, 24)}
        )
    assert "missing: embed.bias, embed.weight, encoder.blocks.0.attention.key.bias" in str(error.value)


def test_vivit_factorised_has_no_published_weights() -> None:
    model = ViViT(vivit.TINY, 3, 16, 64, 64)
    with pytest.raises(ValueError, match="got factorised with mean"):
        vivit_checkpoint.load_published(model, {})
