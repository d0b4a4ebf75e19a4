"""SlowFast against PySlowFast, pytorchvideo and mmaction2: logits, pooled features, every recorded stage."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference.golden import Golden
from talaria_models.backbones.slowfast import config as published
from talaria_models.backbones.slowfast.checkpoint import load_published
from talaria_models.backbones.slowfast.config import SlowFastConfig
from talaria_models.backbones.slowfast.model import SlowFast


def build(golden: Golden, config: SlowFastConfig) -> SlowFast:
    """The model of this golden with its weights, at the size of its input."""
    _, _, num_frames, height, width = golden.manifest["inputs"]["video"]["shape"]
    num_classes = golden.manifest["outputs"]["logits"]["shape"][-1]
    indices = golden.manifest["inputs"].get("slow_pathway", {}).get("indices")
    if indices is not None:
        config = replace(config, alpha=num_frames // len(indices))
    model = SlowFast(config, num_classes, num_frames, height, width).eval()
    if indices is not None:
        assert model.slow_frames_idx.tolist() == indices
    load_published(model, {key: torch.from_numpy(value) for key, value in golden.state().items()})
    return model


def run(model: SlowFast, golden: Golden) -> dict[str, Tensor]:
    """Outputs by our own module names, beside `features` and `logits`."""
    seen: dict[str, Tensor] = {}
    parts: dict[str, nn.Module] = {"slow.0": model.slow.stem, "fast.0": model.fast.stem}
    for index in range(4):
        parts |= {
            f"slow.{index + 1}": model.slow.stages[index],
            f"fast.{index + 1}": model.fast.stages[index],
            f"lateral.{index}": model.laterals[index],
        }
    for name, part in parts.items():
        part.register_forward_hook(lambda _module, _inputs, out, name=name: seen.update({name: out}))
    with torch.inference_mode():
        out = model(torch.from_numpy(golden.input("video")))
    return {**seen, "features": out.features_BC, "logits": out.logits_BK}


def fused(seen: Mapping[str, Tensor], index: int) -> Tensor:
    """The slow pathway with what the fast one hands over after its stage `index`."""
    return torch.cat([seen[f"slow.{index}"], seen[f"lateral.{index}"]], dim=1)


def pooled(seen: Mapping[str, Tensor], shape: list[int]) -> Tensor:
    """(N, T, H, W, C) means over the peer's windows, which cover everything when T, H and W are 1."""
    halves = []
    for pathway in ("slow.4", "fast.4"):
        full = seen[pathway]
        window = [size - places + 1 for size, places in zip(full.shape[2:], shape[1:4], strict=True)]
        halves.append(F.avg_pool3d(full, window, stride=1))
    return torch.cat(halves, dim=1).permute(0, 2, 3, 4, 1)


def check_head(golden: Golden, model: SlowFast, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pooled feature and logits in the peers' shape; the model's own where one window covers everything."""
    shape = golden.manifest["outputs"]["pooled_feature"]["shape"]
    feature = pooled(seen, shape)
    logits = model.head(feature)
    if shape[1:4] == [1, 1, 1]:
        feature = seen["features"].view(shape)
        logits = seen["logits"].view(golden.manifest["outputs"]["logits"]["shape"])
    return {"pooled_feature": feature, "logits": logits}


def compare(golden: Golden, mine: Mapping[str, Tensor]) -> None:
    """Every output that the golden holds is one of ours, and agrees."""
    assert mine.keys() == golden.manifest["outputs"].keys()
    for name, value in mine.items():
        golden.assert_output(name, np.ascontiguousarray(value.detach().numpy()))


def check_pyslowfast(config: SlowFastConfig, golden: Golden) -> None:
    model = build(golden, config)
    seen = run(model, golden)
    mine = check_head(golden, model, seen)
    mine["probabilities"] = mine["logits"].softmax(-1).mean((1, 2, 3))
    for name in golden.manifest["outputs"].keys() - mine.keys():
        stage, fuse, pathway = re.fullmatch(r"s(\d)(_fuse)?_p([01])", name).groups()
        index = int(stage) - 1
        if pathway == "1":
            mine[name] = seen[f"fast.{index}"]
        else:
            mine[name] = fused(seen, index) if fuse else seen[f"slow.{index}"]
    compare(golden, mine)


def check_pytorchvideo(config: SlowFastConfig, golden: Golden) -> None:
    model = build(golden, config)
    seen = run(model, golden)
    mine = check_head(golden, model, seen)
    mine["output"] = mine["logits"].mean((1, 2, 3))
    mine["block5_p0"] = mine["pooled_feature"].permute(0, 4, 1, 2, 3)
    for name in golden.manifest["outputs"].keys() - mine.keys():
        block, pathway = re.fullmatch(r"block(\d)_p([01])", name).groups()
        index = int(block)
        if pathway == "1":
            mine[name] = seen[f"fast.{index}"]
        else:
            mine[name] = fused(seen, index) if index < 4 else seen[f"slow.{index}"]
    compare(golden, mine)


def check_mmaction2(config: SlowFastConfig, golden: Golden) -> None:
    model = build(golden, config)
    seen = run(model, golden)
    slow, fast = seen["features"].split([model.slow.outputs, model.fast.outputs], dim=1)
    mine = {"pooled_p0": slow, "pooled_p1": fast, "logits": seen["logits"]}
    mine |= {"backbone_p0": seen["slow.4"], "backbone_p1": seen["fast.4"]}
    for name in golden.manifest["outputs"].keys() - mine.keys():
        pathway, layer = re.fullmatch(r"(slow|fast)_path\.layer(\d)", name).groups()
        mine[name] = seen[f"{pathway}.{layer}"]
    compare(golden, mine)


def check(peer: Callable[[SlowFastConfig, Golden], None], config: SlowFastConfig) -> Callable[[Golden], None]:
    return lambda golden: peer(config, golden)


CHECKS: dict[str, Callable[[Golden], None]] = {
    "slowfast_r50_8x8": check(check_pyslowfast, published.R50_8X8),
    "slowfast_r101_8x8": check(check_pyslowfast, published.R101_8X8),
    "slowfast_r101_50_50_8x8": check(check_pyslowfast, published.R101_50_50_8X8),
    "pytorchvideo_slowfast_r50": check(check_pytorchvideo, published.R50_8X8),
    "pytorchvideo_slowfast_r101": check(check_pytorchvideo, published.R101_8X8),
    "mmaction2_slowfast_r101": check(check_mmaction2, published.MMACTION2_R101_8X8),
}
