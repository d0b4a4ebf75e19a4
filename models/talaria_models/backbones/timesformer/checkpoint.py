"""Published TimeSformer checkpoints: the key layouts of Hugging Face, of the authors and of mmaction2.

Our keys are those of Hugging Face's network below `network.`, and `head`. All three layouts hold query, key
and value in one matrix, in this order, so that every weight keeps its shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from talaria_models.backbones.published import load_renamed, weights_of
from talaria_models.backbones.timesformer.model import TimeSformer

Rename = Callable[[str], str | None]

TOP = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "time_embed": "embeddings.time_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
BLOCK = {
    "norm1": "layernorm_before",
    "attn.qkv": "attention.attention.qkv",
    "attn.proj": "attention.output.dense",
    "temporal_norm1": "temporal_layernorm",
    "temporal_attn.qkv": "temporal_attention.attention.qkv",
    "temporal_attn.proj": "temporal_attention.output.dense",
    "temporal_fc": "temporal_dense",
    "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
MMACTION2_BLOCK = {
    "attentions.0.norm.": "temporal_norm1.",
    "attentions.0.attn.in_proj_": "temporal_attn.qkv.",
    "attentions.0.attn.out_proj.": "temporal_attn.proj.",
    "attentions.0.temporal_fc.": "temporal_fc.",
    "attentions.1.norm.": "norm1.",
    "attentions.1.attn.in_proj_": "attn.qkv.",
    "attentions.1.attn.out_proj.": "attn.proj.",
    "ffns.0.norm.": "norm2.",
    "ffns.0.layers.0.0.": "mlp.fc1.",
    "ffns.0.layers.1.": "mlp.fc2.",
}


def load_published(model: TimeSformer, checkpoint: Mapping[str, Any], *, head: bool = True) -> None:
    """Copy a published checkpoint into `model`.

    Args:
        model: built with the settings and for the clip size of that checkpoint: positions are learned, each
            patch and each frame has its own.
        checkpoint: what the published file holds, with or without its container.
        head: False keeps the classifier of `model`, for other classes than the published ones.

    Raises:
        ValueError: a layout that is not known, or keys that are unknown, missing or of another shape.
    """
    weights = {key.removeprefix("model."): value for key, value in weights_of(checkpoint).items()}
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
        f"checkpoint of no known TimeSformer layout: expected one of the keys {', '.join(LAYOUTS)}; "
        f"found {', '.join(list(weights)[:4]) or 'no keys'}"
    )


def from_transformers(key: str) -> str | None:
    """`timesformer.encoder.layer.<n>.attention.attention.qkv.weight` and its like."""
    found = re.fullmatch(r"(timesformer|classifier)\.(.+)", key)
    return f"{'network' if found[1] == 'timesformer' else 'head'}.{found[2]}" if found else None


def from_authors(key: str) -> str | None:
    """`blocks.<n>.temporal_attn.qkv.weight` and its like."""
    if key in TOP:
        return f"network.{TOP[key]}"
    if key in ("head.weight", "head.bias"):
        return key
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)\.(weight|bias)", key)
    if found is None or found[2] not in BLOCK:
        return None
    return f"network.encoder.layer.{found[1]}.{BLOCK[found[2]]}.{found[3]}"


def from_mmaction2(key: str) -> str | None:
    """`backbone.transformer_layers.layers.<n>.attentions.0.attn.in_proj_weight` and its like.

    Divided attention alone: attentions.0 is over time, attentions.1 over space.
    """
    if found := re.fullmatch(r"cls_head\.fc_cls\.(weight|bias)", key):
        return f"head.{found[1]}"
    if found := re.fullmatch(r"backbone\.transformer_layers\.layers\.(\d+)\.(.+[._])(weight|bias)", key):
        part = MMACTION2_BLOCK.get(found[2])
        return from_authors(f"blocks.{found[1]}.{part}{found[3]}") if part else None
    top = key.removeprefix("backbone.").replace("patch_embed.projection", "patch_embed.proj")
    return f"network.{TOP[top]}" if top in TOP else None


LAYOUTS: dict[str, Rename] = {
    "timesformer.embeddings.cls_token": from_transformers,
    "backbone.cls_token": from_mmaction2,
    "cls_token": from_authors,
}
"""A key that every checkpoint of a layout has, and the layout's renaming."""
