"""TCANet and its parts against both published implementations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reference.golden import Golden
from reference.local_global_oracle import mask_matrix, masked_attention
from talaria_models.layers.local_global import LocalGlobalEncoder, published_state


def check_encoder(golden: Golden) -> None:
    given = golden.config
    encoder = LocalGlobalEncoder(
        given["input_dim"],
        num_heads=given["num_heads"],
        window=given["window_size"],
        feedforward_dim=given["dim_feedforward"],
        dropout=given["dropout"],
    ).eval()
    encoder.load_state_dict(published_state(_tensors(golden), "authors"))
    features = torch.from_numpy(golden.input("features"))
    _check_window(golden, encoder, features)
    golden.assert_output("output", encoder(features).detach().numpy())
    attention = encoder.attention(features.transpose(1, 2), None).transpose(0, 1)
    golden.assert_output("attention_output", attention.detach().numpy())


CHECKS = {"tcanet_lgte": check_encoder}


def _check_window(golden: Golden, encoder: LocalGlobalEncoder, features: Tensor) -> None:
    """The oracle's mask and mean weights are the published ones."""
    mask = mask_matrix(encoder.num_heads, features.shape[2], encoder.window)
    golden.assert_output("mask_matrix", mask[None].numpy().astype(np.float32))
    _, weights = masked_attention(encoder, features.transpose(1, 2))
    golden.assert_output("attention_weights", weights.mean(dim=1).detach().numpy())


def _tensors(golden: Golden) -> dict[str, Tensor]:
    return {key: torch.from_numpy(value) for key, value in golden.state().items()}
