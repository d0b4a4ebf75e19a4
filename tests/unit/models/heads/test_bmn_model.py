"""What a user of the BMN network can see: shapes, batches, padding, precision, checkpoints, settings."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from talaria_models.bmn.checkpoint import PARAMETERS, load_published
from talaria_models.bmn.config import BMNConfig
from talaria_models.bmn.decode import probabilities
from talaria_models.bmn.model import BMN, BMNOutput

SMALL: dict[str, Any] = {"hidden_dim_1d": 16, "hidden_dim_2d": 8, "hidden_dim_3d": 12, "num_samples": 6}
AXES = ("start_end", "duration_start")


def small_model(size: int = 10, sampling: Any = "start_end", seed: int = 0) -> BMN:
    torch.manual_seed(seed)
    return BMN(BMNConfig(num_snippets=size, sampling=sampling, **SMALL), in_channels=8).eval()


def tensors(output: BMNOutput) -> tuple[Tensor, Tensor, Tensor]:
    return output.start_logits_BT, output.end_logits_BT, output.map_logits_BMDT


@pytest.mark.parametrize("sampling", AXES)
def test_a_batch_of_two_equals_two_singles(sampling: str) -> None:
    model = small_model(sampling=sampling)
    features = torch.randn(2, 8, 10)
    both = tensors(model(features))
    assert [tuple(tensor.shape) for tensor in both] == [(2, 10), (2, 10), (2, 2, 10, 10)]
    for index in range(2):
        for whole, single in zip(both, tensors(model(features[index : index + 1])), strict=True):
            torch.testing.assert_close(whole[index], single[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sampling", AXES)
def test_padding_changes_nothing(sampling: str) -> None:
    long, short = small_model(10, sampling), small_model(7, sampling)
    short.load_state_dict(long.state_dict())
    features = torch.randn(1, 8, 10)
    mask = torch.arange(10)[None] < 7
    padded = probabilities(long(features, mask), mask)
    plain = probabilities(short(features[:, :, :7]))
    torch.testing.assert_close(padded.start_BT[:, :7], plain.start_BT)
    torch.testing.assert_close(padded.end_BT[:, :7], plain.end_BT)
    torch.testing.assert_close(padded.bm_map_BMDT[:, :, :7, :7], plain.bm_map_BMDT)
    assert padded.bm_map_BMDT[:, :, 7:].sum() == padded.start_BT[:, 7:].sum() == 0.0


@pytest.mark.parametrize("sampling", AXES)
def test_a_full_mask_is_no_mask(sampling: str) -> None:
    model = small_model(sampling=sampling)
    features = torch.randn(2, 8, 10)
    masked = model(features, torch.ones(2, 10, dtype=torch.bool))
    for found, want in zip(tensors(masked), tensors(model(features)), strict=True):
        torch.testing.assert_close(found, want)


def test_runs_under_bfloat16_autocast() -> None:
    model = small_model()
    features = torch.randn(2, 8, 10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(features)
    for found, want in zip(tensors(output), tensors(model(features)), strict=True):
        torch.testing.assert_close(found.float(), want, rtol=0.1, atol=0.05)
    sum(tensor.float().square().sum() for tensor in tensors(output)).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_builds_on_the_meta_device_and_initialises_later() -> None:
    with torch.device("meta"):
        model = BMN(BMNConfig(), in_channels=400)
    assert sum(parameter.numel() for parameter in model.parameters()) == 4_978_564
    config = BMNConfig(num_snippets=10, **SMALL)
    with torch.device("meta"):
        late = BMN(config, in_channels=8)
    late.to_empty(device="cpu").init_weights()
    model = small_model()
    late.load_state_dict(model.state_dict())
    features = torch.randn(1, 8, 10)
    for found, want in zip(tensors(late(features)), tensors(model(features)), strict=True):
        torch.testing.assert_close(found, want)


def published(model: BMN) -> dict[str, Tensor]:
    """The model's weights as JJBOY saves them, dense mask included."""
    own = model.state_dict()
    state = {f"module.{old}": own[new] for old, new in PARAMETERS.items()}
    state["module.x_3d_p.0.weight"] = state["module.x_3d_p.0.weight"].permute(2, 0, 1)[..., None, None]
    state["module.x_2d_p.0.weight"] = state["module.x_2d_p.0.weight"][..., None, None]
    return {**state, "module.sample_mask": torch.zeros(10, 600)}


def test_loads_a_published_checkpoint() -> None:
    source, model = small_model(seed=1), small_model(seed=2)
    load_published(model, published(source))
    for key, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


def test_names_what_is_wrong_with_a_checkpoint() -> None:
    state = published(small_model())
    state["module.fc.weight"] = torch.zeros(3)
    del state["module.x_1d_p.0.bias"]
    state["module.x_2d_p.6.bias"] = torch.zeros(3)
    with pytest.raises(
        ValueError,
        match=r"fc.weight: unknown.*x_1d_p.0.bias: absent.*x_2d_p.6.bias: found .3,., expected .2,.",
    ):
        load_published(small_model(), state)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_snippets", 1),
        ("hidden_dim_1d", 18),
        ("hidden_dim_2d", 0),
        ("groups", 0),
        ("num_samples", 0),
        ("boundary_ratio", -0.1),
        ("regression_weight", float("nan")),
    ],
)
def test_settings_out_of_range_name_their_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(BMNConfig(), **{field: value})


def test_features_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        ValueError, match="num_snippets: the model was built for 10 snippets, the features have 11"
    ):
        small_model()(torch.randn(1, 8, 11))
    with pytest.raises(ValueError, match="groups: found 4, expected a divisor of the 6 feature channels"):
        BMN(BMNConfig(), in_channels=6)
