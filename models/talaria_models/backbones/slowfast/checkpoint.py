"""Published SlowFast checkpoints: the key layouts of PySlowFast, pytorchvideo and mmaction2.

Our keys: `{slow,fast}.stem.{conv,norm}`, `{slow,fast}.stages.<0-3>.<block>.{a,b,c,shortcut}.{conv,norm}`,
`laterals.<0-3>.{conv,norm}` and `head`; stage 0 is res2 of the paper.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from talaria_models.backbones.published import load_renamed, weights_of
from talaria_models.backbones.slowfast.model import SlowFast

Rename = Callable[[str], str | None]

PARTS = {"conv1": "a", "conv2": "b", "conv3": "c", "downsample": "shortcut"}
PATHWAYS = ("slow", "fast")


def load_published(model: SlowFast, checkpoint: Mapping[str, Any], *, head: bool = True) -> None:
    """Copy a published checkpoint into `model`.

    Args:
        model: built with the settings of that checkpoint (the constants in config.py).
        checkpoint: what the published file holds, with or without its container.
        head: False keeps the classifier of `model`, for other classes than the published ones.

    Raises:
        ValueError: a layout that is not known, or keys that are unknown, missing or of another shape.
    """
    weights = weights_of(checkpoint)
    rename = renaming(weights)
    if rename is from_mmaction2:
        weights = slow_first(weights, model.fast.outputs)
    load_renamed(model, weights, rename, head=head)


def slow_first(weights: Mapping[str, Tensor], fast_channels: int) -> dict[str, Tensor]:
    """mmaction2's weights, the classifier's columns in our order: its head takes the fast channels first."""
    key = "cls_head.fc_cls.weight"
    if key not in weights:
        return dict(weights)
    return {**weights, key: weights[key].roll(-fast_channels, dims=1)}


def renaming(weights: Mapping[str, Tensor]) -> Rename:
    """The function from published keys of this layout to ours.

    Raises:
        ValueError: none of the three layouts.
    """
    for first, rename in LAYOUTS.items():
        if first in weights:
            return rename
    raise ValueError(
        f"checkpoint of no known SlowFast layout: expected one of the keys {', '.join(LAYOUTS)}; "
        f"found {', '.join(list(weights)[:4]) or 'no keys'}"
    )


def from_pyslowfast(key: str) -> str | None:
    """`s<n>.pathway<p>_res<b>.branch2.a.weight` and its like; stage s2 is our stage 0."""
    if found := re.fullmatch(r"s1\.pathway([01])_stem\.(conv|bn)\.(\w+)", key):
        pathway, part, leaf = found.groups()
        return f"{PATHWAYS[int(pathway)]}.stem.{_kind(part)}.{leaf}"
    if found := re.fullmatch(r"s([1-4])_fuse\.(conv_f2s|bn)\.(\w+)", key):
        stage, part, leaf = found.groups()
        return f"laterals.{int(stage) - 1}.{_kind(part)}.{leaf}"
    if found := re.fullmatch(r"s([2-5])\.pathway([01])_res(\d+)\.(branch1|branch2\.[abc])(_bn)?\.(\w+)", key):
        stage, pathway, block, branch, norm, leaf = found.groups()
        part = "shortcut" if branch == "branch1" else branch[-1]
        where = f"{PATHWAYS[int(pathway)]}.stages.{int(stage) - 2}.{block}"
        return f"{where}.{part}.{'norm' if norm else 'conv'}.{leaf}"
    found = re.fullmatch(r"head\.projection\.(\w+)", key)
    return f"head.{found[1]}" if found else None


def from_pytorchvideo(key: str) -> str | None:
    """`blocks.<n>.multipathway_blocks.<p>.res_blocks.<b>.branch2.conv_a.weight`; block 1 is our stage 0."""
    if found := re.fullmatch(r"blocks\.0\.multipathway_blocks\.([01])\.(conv|norm)\.(\w+)", key):
        pathway, part, leaf = found.groups()
        return f"{PATHWAYS[int(pathway)]}.stem.{part}.{leaf}"
    if found := re.fullmatch(r"blocks\.([0-3])\.multipathway_fusion\.(conv_fast_to_slow|norm)\.(\w+)", key):
        stage, part, leaf = found.groups()
        return f"laterals.{stage}.{_kind(part)}.{leaf}"
    if found := re.fullmatch(
        r"blocks\.([1-4])\.multipathway_blocks\.([01])\.res_blocks\.(\d+)\."
        r"(?:branch1_(conv|norm)|branch2\.(conv|norm)_([abc]))\.(\w+)",
        key,
    ):
        stage, pathway, block, of_shortcut, of_branch, part, leaf = found.groups()
        where = f"{PATHWAYS[int(pathway)]}.stages.{int(stage) - 1}.{block}"
        return f"{where}.{part or 'shortcut'}.{of_shortcut or of_branch}.{leaf}"
    found = re.fullmatch(r"blocks\.6\.proj\.(\w+)", key)
    return f"head.{found[1]}" if found else None


def from_mmaction2(key: str) -> str | None:
    """`backbone.slow_path.layer<n>.<b>.conv1.conv.weight` and its like; layer1 is our stage 0."""
    if found := re.fullmatch(r"backbone\.(slow|fast)_path\.conv1\.(conv|bn)\.(\w+)", key):
        pathway, part, leaf = found.groups()
        return f"{pathway}.stem.{_kind(part)}.{leaf}"
    if found := re.fullmatch(r"backbone\.slow_path\.(?:conv1|layer([1-3]))_lateral\.(conv|bn)\.(\w+)", key):
        stage, part, leaf = found.groups()
        return f"laterals.{stage or 0}.{_kind(part)}.{leaf}"
    if found := re.fullmatch(
        r"backbone\.(slow|fast)_path\.layer([1-4])\.(\d+)\.(conv[123]|downsample)\.(conv|bn)\.(\w+)", key
    ):
        pathway, stage, block, part, kind, leaf = found.groups()
        return f"{pathway}.stages.{int(stage) - 1}.{block}.{PARTS[part]}.{_kind(kind)}.{leaf}"
    found = re.fullmatch(r"cls_head\.fc_cls\.(\w+)", key)
    return f"head.{found[1]}" if found else None


def _kind(part: str) -> str:
    return "conv" if part.startswith("conv") else "norm"


LAYOUTS: dict[str, Rename] = {
    "s1.pathway0_stem.conv.weight": from_pyslowfast,
    "blocks.0.multipathway_blocks.0.conv.weight": from_pytorchvideo,
    "backbone.slow_path.conv1.conv.weight": from_mmaction2,
}
"""A key that every checkpoint of a layout has, and the layout's renaming."""
