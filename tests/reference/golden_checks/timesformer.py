"""TimeSformer against Hugging Face transformers 4.46.3 and the authors' code, each kind of attention."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reference.golden import Golden
from talaria_models.backbones.timesformer.checkpoint import load_published
from talaria_models.backbones.timesformer.config import TimeSformerConfig
from talaria_models.backbones.timesformer.model import TimeSformer, network_config


def loaded(golden: Golden, config: TimeSformerConfig, clips: Tensor) -> TimeSformer:
    """Our network for these clips with the golden's weights."""
    num_classes = golden.manifest["outputs"]["logits"]["shape"][-1]
    model = TimeSformer(config, num_classes, *clips.shape[2:]).eval()
    load_published(model, {key: torch.from_numpy(value) for key, value in golden.state().items()})
    return model


def check_transformers(golden: Golden) -> None:
    """Logits and the tokens before and after each recorded block.

    With attention in space alone the peer predicts frame by frame, as ours does for clips of one frame.
    """
    peer = golden.config
    config = TimeSformerConfig(
        attention=peer["attention_type"],
        patch_size=peer["patch_size"],
        width=peer["hidden_size"],
        depth=peer["num_hidden_layers"],
        num_heads=peer["num_attention_heads"],
        mlp_width=peer["intermediate_size"],
    )
    ours = network_config(config, peer["num_frames"], peer["image_size"])
    assert all(getattr(ours, key) == peer[key] for key in ("hidden_act", "layer_norm_eps", "qkv_bias"))
    clips = torch.from_numpy(golden.input("pixel_values")).transpose(1, 2)
    if config.attention == "space_only":
        clips = clips.transpose(1, 2).flatten(0, 1).unsqueeze(2)
    model = loaded(golden, config, clips)
    hidden: list[Tensor] = []
    blocks = model.network.encoder.layer
    blocks[0].register_forward_pre_hook(lambda _module, inputs: hidden.append(inputs[0]))
    for block in blocks:
        block.register_forward_hook(lambda _module, _inputs, out: hidden.append(out[0]))
    with torch.inference_mode():
        logits = model(clips).logits_BK
    golden.assert_output("logits", logits.numpy())
    for name in golden.manifest["outputs"].keys() - {"logits"}:
        golden.assert_output(name, hidden[int(name.removeprefix("hidden_"))].contiguous().numpy())
    check_base_layout(golden, config)


def check_authors(golden: Golden) -> None:
    """Logits and features; checkpoints of the authors carry a container and a prefix."""
    peer = golden.config
    config = TimeSformerConfig(
        attention=peer["attention_type"],
        patch_size=peer["patch_size"],
        width=peer["embed_dim"],
        depth=peer["depth"],
        num_heads=peer["num_heads"],
        mlp_width=peer["embed_dim"] * peer["mlp_ratio"],
    )
    clips = torch.from_numpy(golden.input("video"))
    with torch.inference_mode():
        out = loaded(golden, config, clips)(clips)
    assert golden.manifest["outputs"].keys() == {"features", "logits"}
    golden.assert_output("features", out.features_BC.numpy())
    golden.assert_output("logits", out.logits_BK.numpy())
    check_base_layout(golden, config)


def check_base_layout(golden: Golden, tiny: TimeSformerConfig) -> None:
    """The published base model's keys and shapes are those of our default settings."""
    with torch.device("meta"):
        weights = {f"model.{key}": torch.empty(shape) for key, (shape, _) in base_layout(golden).items()}
        model = TimeSformer(TimeSformerConfig(attention=tiny.attention), 400, 8, 224, 224)
        load_published(model, {"model_state": weights})
    assert sum(value.numel() for value in model.parameters()) == golden.manifest["base_parameters"]


def base_layout(golden: Golden) -> dict[str, tuple[list[int], str]]:
    layout: dict[str, tuple[list[int], str]] = golden.manifest["layout_base_config"]
    return layout


ATTENTIONS = ("divided_space_time", "joint_space_time", "space_only")
CHECKS: dict[str, Callable[[Golden], None]] = {
    **{f"timesformer_hf_{attention}": check_transformers for attention in ATTENTIONS},
    **{f"timesformer_{attention}": check_authors for attention in ATTENTIONS},
}
