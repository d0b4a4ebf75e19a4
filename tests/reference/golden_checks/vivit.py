"""ViViT against Hugging Face transformers: logits and the tokens before and after each recorded block."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reference.golden import Golden
from talaria_models.backbones.vivit.checkpoint import load_published
from talaria_models.backbones.vivit.config import BASE_16X2, ViViTConfig
from talaria_models.backbones.vivit.model import NORM_EPS, ViViT


def config_of(golden: Golden) -> ViViTConfig:
    """Our settings for the peer's."""
    peer = golden.config
    frames, patch, patch_width = peer["tubelet_size"]
    assert patch == patch_width
    assert peer["hidden_act"] == "gelu_fast"
    assert peer["layer_norm_eps"] == NORM_EPS
    return ViViTConfig(
        tubelet_frames=frames,
        patch_size=patch,
        width=peer["hidden_size"],
        depth=peer["num_hidden_layers"],
        num_heads=peer["num_attention_heads"],
        mlp_width=peer["intermediate_size"],
    )


def check(golden: Golden) -> None:
    num_classes = golden.manifest["outputs"]["logits"]["shape"][-1]
    clips = torch.from_numpy(golden.input("pixel_values")).transpose(1, 2)
    model = ViViT(config_of(golden), num_classes, *clips.shape[2:]).eval()
    load_published(model, {key: torch.from_numpy(value) for key, value in golden.state().items()})
    hidden: list[Tensor] = []
    model.encoder.blocks[0].register_forward_pre_hook(lambda _module, inputs: hidden.append(inputs[0]))
    for block in model.encoder.blocks:
        block.register_forward_hook(lambda _module, _inputs, out: hidden.append(out))
    with torch.inference_mode():
        logits = model(clips).logits_BK
    golden.assert_output("logits", logits.numpy())
    for name in golden.manifest["outputs"].keys() - {"logits"}:
        golden.assert_output(name, hidden[int(name.removeprefix("hidden_"))].numpy())
    check_base_layout(golden)


def check_base_layout(golden: Golden) -> None:
    """The published base model's keys and shapes are those of our default settings."""
    with torch.device("meta"):
        weights = {
            key: torch.empty(shape) for key, (shape, _) in golden.manifest["layout_base_config"].items()
        }
        model = ViViT(BASE_16X2, len(weights["classifier.weight"]), 32, 224, 224)
        load_published(model, weights)
    assert sum(value.numel() for value in model.parameters()) == golden.manifest["base_parameters"]


CHECKS: dict[str, Callable[[Golden], None]] = {"vivit_hf": check}
