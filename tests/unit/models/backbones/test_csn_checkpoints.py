"""Published checkpoints of channel-separated networks: key layouts, other classes, errors that name keys."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from talaria_models.backbones.csn.checkpoint import load_published
from talaria_models.backbones.csn.config import IR_R50, TINY, CSNConfig
from talaria_models.backbones.csn.model import CSN

TINY_PRESERVED = replace(TINY, interaction="preserved")
BOTH = pytest.mark.parametrize("config", [TINY, TINY_PRESERVED], ids=["reduced", "preserved"])


def small(config: CSNConfig, num_classes: int = 3) -> CSN:
    return CSN(config, num_classes, 8, 32, 32)


def mmaction2_key(key: str, config: CSNConfig) -> str:
    """What mmaction2 calls one of our weights."""
    key = key.replace(".norm.", ".bn.")
    if key.startswith("head."):
        return key.replace("head", "cls_head.fc_cls")
    if key.startswith("stem."):
        return key.replace("stem", "backbone.conv1")
    parts = {"a": "conv1", "mix": "conv2.0", "c": "conv3", "shortcut": "downsample"}
    parts["b"] = "conv2.1" if config.interaction == "preserved" else "conv2.0"
    stage, block, part, rest = re.fullmatch(r"stages\.(\d)\.(\d+)\.(\w+)\.(.+)", key).groups()
    return f"backbone.layer{int(stage) + 1}.{block}.{parts[part]}.{rest}"


def published(config: CSNConfig) -> tuple[CSN, dict[str, Tensor]]:
    """A random network and its weights under mmaction2's keys."""
    torch.manual_seed(0)
    model = small(config)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor))
    return model, {mmaction2_key(key, config): value for key, value in model.state_dict().items()}


def unequal(model: CSN, source: CSN) -> set[str]:
    """Weights that differ, but for the counters of batch norm."""
    ours, theirs = model.state_dict(), source.state_dict()
    return {key for key in ours if "num_batches" not in key and not torch.equal(ours[key], theirs[key])}


@BOTH
def test_every_weight_arrives(config: CSNConfig) -> None:
    source, weights = published(config)
    model = small(config)
    load_published(model, {"meta": {}, "state_dict": weights})
    assert unequal(model, source) == set()


def test_other_classes_keep_their_head() -> None:
    source, weights = published(TINY)
    model = small(TINY, num_classes=7)
    before = model.head.weight.clone()
    load_published(model, weights, head=False)
    assert torch.equal(model.head.weight, before)
    model.head = source.head
    assert unequal(model, source) == set()


def test_a_checkpoint_of_the_other_bottleneck_is_refused() -> None:
    with pytest.raises(ValueError, match=r"; \d+ missing: stages\.0\.0\.mix\.conv\.weight"):
        load_published(small(TINY_PRESERVED), published(TINY)[1])
    with pytest.raises(ValueError, match=r"unknown: backbone\.layer1\.0\.conv2\.0\.conv\.weight"):
        load_published(small(TINY), published(TINY_PRESERVED)[1])


def test_errors_name_every_key_and_change_nothing() -> None:
    _, weights = published(TINY)
    model = small(TINY)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    del weights["backbone.conv1.bn.running_var"]
    weights["backbone.layer9.0.conv1.conv.weight"] = torch.zeros(1)
    weights["backbone.layer1.0.conv2.1.bn.weight"] = torch.zeros(1)
    weights["cls_head.fc_cls.weight"] = torch.zeros(400, 256)
    with pytest.raises(ValueError, match="do not fit") as error:
        load_published(model, weights)
    message = str(error.value)
    assert "2 unknown: backbone.layer9.0.conv1.conv.weight, backbone.layer1.0.conv2.1.bn.weight" in message
    assert "1 of another shape: cls_head.fc_cls.weight (400, 256) for (3, 256)" in message
    assert "1 missing: stem.norm.running_var" in message
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_an_unknown_layout_names_what_was_found() -> None:
    with pytest.raises(ValueError, match=r"no known CSN layout: .* found stem\.0\.weight"):
        load_published(small(TINY), {"stem.0.weight": torch.zeros(1)})


def test_mmaction2_r50_layout(shared: Path) -> None:
    layout = json.loads((shared / "goldens/layouts/mmaction2_csn_ir_r50.json").read_text())["layout"]
    with torch.device("meta"):
        weights = {key: torch.empty(shape) for key, (shape, _) in layout.items()}
        load_published(CSN(IR_R50, 400, 32, 224, 224), weights)
