"""I3D against piergiaj/pytorch-i3d: logits, features, every recorded stage, clips of even and odd sizes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reference.golden import Golden
from talaria_models.backbones.i3d.checkpoint import load_published
from talaria_models.backbones.i3d.config import FLOW, RGB, I3DConfig
from talaria_models.backbones.i3d.model import I3D, windows
from talaria_models.base import ClipOutput


def build(golden: Golden, config: I3DConfig, size: list[int]) -> I3D:
    """The model with the golden's weights, for clips of L, H, W."""
    assert golden.config["in_channels"] == config.in_channels
    model = I3D(config, golden.config["num_classes"], *size).eval()
    load_published(model, {key: torch.from_numpy(value) for key, value in golden.state().items()})
    return model


def stages(model: I3D, clips: Tensor) -> dict[str, Tensor]:
    """The recorded layers by their published names; the last of each stage as `pyramid` returns it."""
    parts = {"Conv3d_1a_7x7": model.stem[0], "Conv3d_2c_3x3": model.stem[3]}
    parts |= {f"Mixed_{n}b": stage[1] for n, stage in zip((3, 4, 5), model.stages, strict=True)}
    seen: dict[str, Tensor] = {}
    for name, part in parts.items():
        part.register_forward_hook(lambda _module, _inputs, out, name=name: seen.update({name: out}))
    levels = model.pyramid(clips)
    return seen | dict(zip(("Mixed_3c", "Mixed_4f", "Mixed_5c"), levels, strict=True))


def head(golden: Golden, model: I3D, last: Tensor) -> dict[str, Tensor]:
    """What the peer's head gives for each of its windows; ours, where those span the whole space."""
    outputs = golden.manifest["outputs"]
    places = outputs["features"]["shape"][2:]
    size = [full - count + 1 for full, count in zip(last.shape[2:], places, strict=True)]
    spanned = places[1:] == [1, 1]
    features = windows(last)[..., None, None] if spanned else F.avg_pool3d(last, size, stride=1)
    logits = model.head(features.movedim(1, -1)).movedim(-1, 1)
    return {"features": features, "logits": logits.reshape(outputs["logits"]["shape"])}


def check_means(golden: Golden, out: ClipOutput) -> None:
    """What the model returns is the mean of the golden's windows."""
    for name, ours in (("features", out.features_BC), ("logits", out.logits_BK)):
        published = golden.stored(name).reshape(*ours.shape, -1).mean(2)
        limit = golden.manifest["tolerance"]["rel"] * np.abs(published).max()
        worst = np.abs(ours.numpy() - published).max()
        assert worst <= limit, f"{golden.name}/mean of {name}: max error {worst:.3g}, limit {limit:.3g}"


def check(golden: Golden, config: I3DConfig) -> None:
    mine: dict[str, Tensor] = {}
    for name, prefix in (("video", ""), ("odd_video", "odd_")):
        clips = torch.from_numpy(golden.input(name))
        model = build(golden, config, list(clips.shape[2:]))
        with torch.inference_mode():
            seen = stages(model, clips)
            mine |= {prefix + stage: value for stage, value in seen.items()}
            if name == "video":
                mine |= head(golden, model, seen["Mixed_5c"])
                out = model(clips)
    assert mine.keys() == golden.manifest["outputs"].keys()
    for name, value in mine.items():
        golden.assert_output(name, np.ascontiguousarray(value.numpy()))
    if golden.manifest["outputs"]["features"]["shape"][3:] == [1, 1]:
        check_means(golden, out)


CHECKS: dict[str, Callable[[Golden], None]] = {
    "i3d_inception_rgb": lambda golden: check(golden, RGB),
    "i3d_inception_flow": lambda golden: check(golden, FLOW),
}
