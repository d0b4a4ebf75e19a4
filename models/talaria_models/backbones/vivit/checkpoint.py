"""Published ViViT checkpoints: the key layout of Hugging Face transformers up to release 4.

google/vivit-b-16x2-kinetics400 and its relatives keep these names; from release 5 on the module has others,
the published files do not. The joint model is the only one published there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from talaria_models.backbones.published import load_renamed, weights_of
from talaria_models.backbones.vivit.model import ViViT

TOP = {
    "vivit.embeddings.cls_token": "encoder.class_token",
    "vivit.embeddings.position_embeddings": "encoder.positions",
    "vivit.embeddings.patch_embeddings.projection.weight": "embed.weight",
    "vivit.embeddings.patch_embeddings.projection.bias": "embed.bias",
    "vivit.layernorm.weight": "encoder.norm.weight",
    "vivit.layernorm.bias": "encoder.norm.bias",
    "classifier.weight": "head.weight",
    "classifier.bias": "head.bias",
}
BLOCK = {
    "attention.attention.query": "attention.query",
    "attention.attention.key": "attention.key",
    "attention.attention.value": "attention.value",
    "attention.output.dense": "attention.output",
    "intermediate.dense": "mlp_in",
    "output.dense": "mlp_out",
    "layernorm_before": "norm_attention",
    "layernorm_after": "norm_mlp",
}


def load_published(model: ViViT, checkpoint: Mapping[str, Any], *, head: bool = True) -> None:
    """Copy a published checkpoint into `model`.

    Args:
        model: built with the settings and for the clip size of that checkpoint: each tubelet has its own
            learned position.
        checkpoint: what the published file holds.
        head: False keeps the classifier of `model`, for other classes than the published ones.

    Raises:
        ValueError: `model` is not the joint one with a class token, or keys are unknown, missing or of
            another shape.
    """
    config = model.config
    if config.attention != "joint" or config.pooling != "token":
        raise ValueError(
            "attention, pooling: published checkpoints need joint attention with a class token, "
            f"got {config.attention} with {config.pooling}"
        )
    load_renamed(model, weights_of(checkpoint), from_transformers, head=head)


def from_transformers(key: str) -> str | None:
    """Our key of one of Hugging Face's, None when there is none."""
    found = re.fullmatch(r"vivit\.encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", key)
    if found is None:
        return TOP.get(key)
    block, part, leaf = found.groups()
    return f"encoder.blocks.{block}.{BLOCK[part]}.{leaf}" if part in BLOCK else None
