"""The Local-Global Temporal Encoder: equal to masked full attention for any batch, padding and length."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reference.local_global_oracle import masked_attention
from talaria_models.layers.local_global import LocalGlobalEncoder, published_state, window_attention


def encoder_of(channels: int = 16, seed: int = 0, **options: int) -> LocalGlobalEncoder:
    torch.manual_seed(seed)
    return LocalGlobalEncoder(
        channels, **{"num_heads": 4, "window": 5, "feedforward_dim": 8, **options}
    ).eval()


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 40),
    heads=st.sampled_from([1, 2, 4, 8]),
    window=st.integers(0, 9),
    seed=st.integers(0, 9),
)
def test_equals_full_attention_under_a_mask(size: int, heads: int, window: int, seed: int) -> None:
    encoder = encoder_of(seed=seed, num_heads=heads, window=2 * window + 1).double()
    hidden = torch.randn(2, size, 16, dtype=torch.float64)
    length = torch.randint(1, size + 1, (2, 1))
    mask = torch.arange(size) < length
    want, _ = masked_attention(encoder, hidden, mask)
    torch.testing.assert_close(encoder.attention(hidden, mask)[mask], want[mask])


def test_a_batch_of_two_equals_two_singles() -> None:
    encoder, features = encoder_of(), torch.randn(2, 16, 13)
    both = encoder(features)
    for index in range(2):
        torch.testing.assert_close(both[index], encoder(features[index : index + 1])[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 7, 12])
def test_padding_changes_nothing(length: int) -> None:
    encoder, features = encoder_of(), torch.randn(1, 16, 12)
    padded = encoder(features, torch.arange(12)[None] < length)
    torch.testing.assert_close(padded[:, :, :length], encoder(features[:, :, :length]), rtol=1e-5, atol=1e-6)
    assert not padded[:, :, length:].any()


def test_padding_gets_no_gradient_and_gives_none_that_is_not_finite() -> None:
    encoder, features = encoder_of(), torch.randn(1, 16, 30, requires_grad=True)
    encoder(features, torch.arange(30)[None] < 3).square().sum().backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
    assert features.grad[:, :, :3].abs().sum() > 0.0
    assert not features.grad[:, :, 3:].any()


def test_a_local_head_sees_its_window_only() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 24, 2, 4) for _ in range(3))
    valid = torch.ones(1, 24, dtype=torch.bool)
    before = window_attention(query, key, value, valid, window=5)
    key[:, 15], value[:, 15] = 3.0, -7.0
    moved = (window_attention(query, key, value, valid, window=5) != before).any(dim=(0, 2, 3))
    assert moved.nonzero().flatten().tolist() == [13, 14, 15, 16, 17]


def test_gradients_of_a_local_head_are_exact() -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(1, 18, 1, 2, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    valid = torch.ones(1, 18, dtype=torch.bool)

    def heads(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return window_attention(query, key, value, valid, window=3)

    assert torch.autograd.gradcheck(heads, tensors)


def test_runs_under_bfloat16_autocast() -> None:
    encoder, features = encoder_of(), torch.randn(2, 16, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = encoder(features)
    torch.testing.assert_close(output.float(), encoder(features), rtol=0.1, atol=0.1)
    output.float().square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in encoder.parameters())


def test_dropout_acts_in_training_only() -> None:
    encoder, features = encoder_of(), torch.randn(1, 16, 40)
    assert torch.equal(encoder(features), encoder(features))
    encoder.train()
    assert not torch.equal(encoder(features), encoder(features))


def test_loads_both_published_layouts() -> None:
    source = encoder_of(seed=1)
    own = source.state_dict()
    names = {"projection.": "in_proj_", "output.": "out_proj."}
    authors, mmaction2 = {}, {}
    for key, value in own.items():
        layer, leaf = key.split(".")
        attention = names.get(f"{layer}.")
        inner = {"linear1": "ffn.layers.0.0", "linear2": "ffn.layers.1"}.get(layer, layer)
        authors[f"self_atten.scale_attention.{attention}{leaf}" if attention else key] = value
        mmaction2[f"atten.attn.{attention}{leaf}" if attention else f"{inner}.{leaf}"] = value
    authors["self_atten.mask_matrix"] = mmaction2["mask"] = torch.zeros(1, 4, 9, 9)
    for layout, state in (("authors", authors), ("mmaction2", mmaction2)):
        loaded = encoder_of(seed=2)
        loaded.load_state_dict(published_state(state, layout))
        assert all(torch.equal(value, own[key]) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize(
    ("option", "value"), [("num_heads", 3), ("num_heads", 0), ("window", 4), ("window", 0)]
)
def test_sizes_out_of_range_name_their_argument(option: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{option}: found {value}, expected"):
        encoder_of(**{option: value})
