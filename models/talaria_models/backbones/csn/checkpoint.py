"""Published CSN checkpoints: the key layouts of mmaction2 and pytorchvideo.

Our keys: `stem.{conv,norm}`, `stages.<0-3>.<block>.{a,mix,b,c,shortcut}.{conv,norm}` and `head`; stage 0 is
layer1 of mmaction2 and block 1 of pytorchvideo.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from talaria_models.backbones.csn.model import CSN
from talaria_models.backbones.published import load_renamed, weights_of

Rename = Callable[[str], str | None]

PARTS = {"conv1": "a", "conv3": "c", "downsample": "shortcut"}
REDUCED = {**PARTS, "conv2.0": "b"}
PRESERVED = {**PARTS, "conv2.0": "mix", "conv2.1": "b"}


def load_published(model: CSN, checkpoint: Mapping[str, Any], *, head: bool = True) -> None:
    """Copy a published checkpoint into `model`.

    Args:
        model: built with the settings of that checkpoint (the constants in config.py), for clips of any size.
        checkpoint: what the published file holds, with or without its container.
        head: False keeps the classifier of `model`, for other classes than the published ones.

    Raises:
        ValueError: a layout that is not known, or keys that are unknown, missing or of another shape.
    """
    weights = weights_of(checkpoint)
    load_renamed(model, weights, renaming(weights), head=head)


def renaming(weights: Mapping[str, Tensor]) -> Rename:
    """The function from published keys of this layout to ours.

    Raises:
        ValueError: none of the layouts.
    """
    for first, rename in LAYOUTS.items():
        if first in weights:
            return rename
    raise ValueError(
        f"checkpoint of no known CSN layout: expected one of the keys {', '.join(LAYOUTS)}; "
        f"found {', '.join(list(weights)[:4]) or 'no keys'}"
    )


def from_mmaction2(key: str, parts: Mapping[str, str]) -> str | None:
    """`backbone.layer<n>.<b>.conv2.0.conv.weight` and its like; `parts` says what conv2.0 is."""
    if found := re.fullmatch(r"backbone\.conv1\.(conv|bn)\.(\w+)", key):
        kind, leaf = found.groups()
        return f"stem.{_kind(kind)}.{leaf}"
    if found := re.fullmatch(
        r"backbone\.layer([1-4])\.(\d+)\.(conv[13]|conv2\.[01]|downsample)\.(conv|bn)\.(\w+)", key
    ):
        stage, block, part, kind, leaf = found.groups()
        ours = parts.get(part)
        return f"stages.{int(stage) - 1}.{block}.{ours}.{_kind(kind)}.{leaf}" if ours else None
    found = re.fullmatch(r"cls_head\.fc_cls\.(\w+)", key)
    return f"head.{found[1]}" if found else None


def from_pytorchvideo(key: str) -> str | None:
    """`blocks.<n>.res_blocks.<b>.branch2.conv_a.weight` and its like; block 5 is the head."""
    if found := re.fullmatch(r"blocks\.0\.(conv|norm)\.(\w+)", key):
        return f"stem.{found[1]}.{found[2]}"
    if found := re.fullmatch(
        r"blocks\.([1-4])\.res_blocks\.(\d+)\."
        r"(?:branch1_(conv|norm)|branch2\.(conv|norm)_([abc]))\.(\w+)",
        key,
    ):
        stage, block, of_shortcut, of_branch, part, leaf = found.groups()
        return f"stages.{int(stage) - 1}.{block}.{part or 'shortcut'}.{of_shortcut or of_branch}.{leaf}"
    found = re.fullmatch(r"blocks\.5\.proj\.(\w+)", key)
    return f"head.{found[1]}" if found else None


def _kind(part: str) -> str:
    return "conv" if part == "conv" else "norm"


LAYOUTS: dict[str, Rename] = {
    "backbone.layer1.0.conv2.1.conv.weight": partial(from_mmaction2, parts=PRESERVED),
    "backbone.layer1.0.conv2.0.conv.weight": partial(from_mmaction2, parts=REDUCED),
    "blocks.0.conv.weight": from_pytorchvideo,
}
"""A key that every checkpoint of a layout has, and the layout's renaming. The first that fits counts: only
the interaction-preserved network of mmaction2 has a conv2.1, and there conv2.0 is another convolution."""
