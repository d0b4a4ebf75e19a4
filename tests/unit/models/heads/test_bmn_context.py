"""The encoders and the LSTM of BMN's base module: what they add, and what they leave as it is."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from talaria_models.bmn.checkpoint import load_published
from talaria_models.bmn.config import BMNConfig
from talaria_models.bmn.criterion import inside_map
from talaria_models.bmn.model import BMN, BMNOutput

SMALL = BMNConfig(num_snippets=12, hidden_dim_1d=16, hidden_dim_2d=8, hidden_dim_3d=12, num_samples=6)
OPTIONS: tuple[dict[str, Any], ...] = (
    {"lgte_layers": 2, "lgte_heads": 4, "lgte_window": 3},
    {"lstm_layers": 1},
    {"lstm_layers": 2},
    {"lgte_layers": 1, "lgte_heads": 2, "lstm_layers": 1},
)
with_options = pytest.mark.parametrize("options", OPTIONS, ids=str)


def model_of(options: dict[str, Any], seed: int = 0, size: int = 12) -> BMN:
    torch.manual_seed(seed)
    return BMN(dataclasses.replace(SMALL, num_snippets=size, **options), in_channels=8).eval()


def counted(output: BMNOutput, mask_BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The logits that mean something, zero elsewhere."""
    maps = output.map_logits_BMDT * inside_map(mask_BT)[:, None]
    return output.start_logits_BT * mask_BT, output.end_logits_BT * mask_BT, maps


@with_options
def test_a_batch_of_two_equals_two_singles(options: dict[str, Any]) -> None:
    model, features = model_of(options), torch.randn(2, 8, 12)
    mask = torch.arange(12) < torch.tensor([[12], [7]])
    both = counted(model(features, mask), mask)
    for index in range(2):
        single = counted(model(features[index : index + 1], mask[index : index + 1]), mask[index : index + 1])
        for whole, alone in zip(both, single, strict=True):
            torch.testing.assert_close(whole[index], alone[0], rtol=1e-5, atol=1e-6)


@with_options
def test_padding_changes_nothing(options: dict[str, Any]) -> None:
    long, short = model_of(options), model_of(options, size=7)
    short.load_state_dict(long.state_dict())
    features, mask = torch.randn(1, 8, 12), torch.arange(12)[None] < 7
    full = torch.ones(1, 7, dtype=torch.bool)
    start, end, maps = counted(long(features, mask), mask)
    padded = (start[:, :7], end[:, :7], maps[:, :, :7, :7])
    for found, want in zip(padded, counted(short(features[:, :, :7]), full), strict=True):
        torch.testing.assert_close(found, want)


@with_options
def test_a_full_mask_is_no_mask(options: dict[str, Any]) -> None:
    model, features = model_of(options), torch.randn(2, 8, 12)
    full = torch.ones(2, 12, dtype=torch.bool)
    for found, want in zip(counted(model(features, full), full), counted(model(features), full), strict=True):
        torch.testing.assert_close(found, want)


@with_options
def test_the_first_snippet_sees_the_last(options: dict[str, Any]) -> None:
    features = torch.randn(1, 8, 12)
    other = features.clone()
    other[:, :, -1] += 1.0
    plain, model = model_of({}), model_of(options)
    assert torch.equal(plain(features).start_logits_BT[:, 0], plain(other).start_logits_BT[:, 0])
    assert not torch.equal(model(features).start_logits_BT[:, 0], model(other).start_logits_BT[:, 0])


@with_options
def test_trains_under_bfloat16_autocast(options: dict[str, Any]) -> None:
    model, features = model_of(options), torch.randn(2, 8, 12)
    mask = torch.arange(12) < torch.tensor([[12], [7]])
    gradients = []
    for precise in (True, False):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not precise):
            output = model(features, mask)
        sum(tensor.float().square().sum() for tensor in counted(output, mask)).backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    assert (gradients[1] - gradients[0]).norm() < 0.05 * gradients[0].norm()


@with_options
def test_initialises_after_building_on_the_meta_device(options: dict[str, Any]) -> None:
    with torch.device("meta"):
        late = BMN(dataclasses.replace(SMALL, **options), in_channels=8)
    late.to_empty(device="cpu").init_weights()
    assert all(torch.isfinite(parameter).all() for parameter in late.parameters())
    model, features = model_of(options), torch.randn(1, 8, 12)
    late.eval().load_state_dict(model.state_dict())
    torch.testing.assert_close(late(features).start_logits_BT, model(features).start_logits_BT)


def test_without_them_the_network_has_the_published_parameters_alone() -> None:
    keys = model_of({}).state_dict().keys()
    assert not any("encoder" in key or "lstm" in key for key in keys)
    assert keys < model_of({"lgte_layers": 1, "lstm_layers": 1}).state_dict().keys()


def test_a_published_checkpoint_does_not_fit_them() -> None:
    with pytest.raises(ValueError, match=r"lgte_layers: found 1, expected 0.*lstm_layers: found 2"):
        load_published(model_of({"lgte_layers": 1, "lstm_layers": 2}), {})


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("lgte_layers", {"lgte_layers": -1}),
        ("lgte_heads", {"lgte_layers": 1, "lgte_heads": 3}),
        ("lgte_heads", {"lgte_heads": 0}),
        ("lgte_window", {"lgte_window": 4}),
        ("lstm_layers", {"lstm_layers": -1}),
        ("hidden_dim_1d", {"hidden_dim_1d": 15, "groups": 3, "lstm_layers": 1}),
    ],
)
def test_settings_out_of_range_name_their_field(field: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{field}: found"):
        dataclasses.replace(SMALL, **settings)
