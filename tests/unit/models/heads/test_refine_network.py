"""What a user of the Refine Network can see: shapes, switches, batches, padding, precision, settings."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from talaria_models.refine_network.config import RefineNetworkConfig
from talaria_models.refine_network.decode import probabilities, proposals
from talaria_models.refine_network.model import RefineNetwork, RefineNetworkOutput

SMALL: dict[str, Any] = {
    "hidden_dim": 8,
    "head_dim": 16,
    "transformer_layers": 2,
    "transformer_heads": 2,
    "transformer_feedforward_dim": 12,
    "num_bins": 4,
    "num_samples_per_bin": 2,
}
SWITCHES = ("transformer", "action_score", "bi_lstm", "non_local")
PROPOSALS = torch.tensor([[[0.1, 0.4], [0.35, 0.9], [0.0, 1.0]], [[0.2, 0.3], [0.6, 0.61], [0.5, 0.8]]])


def small_model(seed: int = 0, **changes: Any) -> RefineNetwork:
    """A small network that has left its first state, in which it returns its proposals."""
    torch.manual_seed(seed)
    model = RefineNetwork(RefineNetworkConfig(**{**SMALL, **changes}), in_channels=6).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def tensors(output: RefineNetworkOutput) -> list[Tensor]:
    found = [t for stage in output.stages for t in (stage.segments_BP2, stage.score_logits_BP)]
    return found if output.action_logits_BT is None else [*found, output.action_logits_BT]


@pytest.mark.parametrize("on", list(itertools.product([False, True], repeat=4)))
def test_every_subset_of_blocks_builds_and_runs(on: tuple[bool, ...]) -> None:
    model = small_model(**dict(zip(SWITCHES, on, strict=True)))
    output = model(torch.randn(2, 6, 9), None, PROPOSALS)
    assert len(output.stages) == 3
    assert (output.action_logits_BT is not None) == on[1]
    for stage in output.stages:
        assert stage.segments_BP2.shape == (2, 3, 2)
        assert stage.score_logits_BP.shape == (2, 3)
    sum(tensor.square().sum() for tensor in tensors(output) if tensor.requires_grad).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_block_that_is_off_has_no_weights(switch: str) -> None:
    def size(model: RefineNetwork) -> int:
        return sum(parameter.numel() for parameter in model.parameters())

    assert size(small_model(**{switch: False})) < size(small_model())


@pytest.mark.parametrize("switch", ["transformer", "bi_lstm", "non_local"])
def test_a_block_that_is_on_changes_the_result(switch: str) -> None:
    model, without = small_model(), small_model(**{switch: False})
    without.load_state_dict(model.state_dict(), strict=False)
    features = torch.randn(1, 6, 9)
    found, want = model(features, None, PROPOSALS[:1]), without(features, None, PROPOSALS[:1])
    assert not torch.allclose(found.stages[0].score_logits_BP, want.stages[0].score_logits_BP, atol=1e-4)


def test_a_batch_of_two_equals_two_singles() -> None:
    model, features = small_model(), torch.randn(2, 6, 9)
    both = tensors(model(features, None, PROPOSALS))
    for index in range(2):
        cut = slice(index, index + 1)
        for whole, single in zip(both, tensors(model(features[cut], None, PROPOSALS[cut])), strict=True):
            torch.testing.assert_close(whole[index], single[0], rtol=1e-5, atol=1e-6)


def test_padding_of_snippets_and_proposals_changes_nothing() -> None:
    model, features = small_model(), torch.randn(1, 6, 7)
    padded = torch.cat([features, torch.full((1, 6, 4), float("nan"))], dim=2)
    more = torch.cat([PROPOSALS[:1], torch.full((1, 2, 2), float("nan"))], dim=1)
    mask, valid = torch.arange(11)[None] < 7, torch.arange(5)[None] < 3
    plain = model(features, None, PROPOSALS[:1])
    output = model(padded, mask, more, valid)
    for found, want in zip(output.stages, plain.stages, strict=True):
        torch.testing.assert_close(found.segments_BP2[:, :3], want.segments_BP2)
        torch.testing.assert_close(found.score_logits_BP[:, :3], want.score_logits_BP)
        assert not found.segments_BP2[:, 3:].any()
    raw, want = probabilities(output, mask), probabilities(plain)
    assert raw.action_BT is not None
    assert want.action_BT is not None
    torch.testing.assert_close(raw.action_BT[:, :7], want.action_BT)
    assert raw.score_BP[:, 3:].sum() == 0.0
    assert raw.action_BT[:, 7:].eq(0.0).all()


def test_each_module_starts_from_the_previous_ones_segments() -> None:
    output = small_model()(torch.randn(2, 6, 9), None, PROPOSALS)
    torch.testing.assert_close(output.stages[0].inputs_BP2, PROPOSALS)
    for before, after in itertools.pairwise(output.stages):
        assert torch.equal(before.segments_BP2, after.inputs_BP2)
        assert not torch.equal(after.inputs_BP2, after.segments_BP2)
        assert not after.inputs_BP2.requires_grad
    raw = probabilities(output)
    assert torch.equal(raw.segments_BP2, output.stages[-1].segments_BP2)
    torch.testing.assert_close(raw.score_BP, torch.sigmoid(output.stages[-1].score_logits_BP))


def test_an_untrained_network_returns_its_proposals() -> None:
    torch.manual_seed(0)
    model = RefineNetwork(RefineNetworkConfig(**SMALL), in_channels=6)
    torch.testing.assert_close(
        model(torch.randn(2, 6, 9), None, PROPOSALS).stages[-1].segments_BP2, PROPOSALS
    )


@pytest.mark.parametrize("size", [1, 2, 9])
def test_unusual_proposals_stay_ordered_and_inside(size: int) -> None:
    unusual = torch.tensor([[[0.5, 0.5], [1.2, 1.5], [-0.6, -0.2], [-0.5, 2.0], [0.0, 0.0]]])
    for stage in small_model()(torch.randn(1, 6, size), None, unusual).stages:
        assert torch.isfinite(stage.score_logits_BP).all()
        assert ((stage.segments_BP2 >= 0.0) & (stage.segments_BP2 <= 1.0)).all()
        assert (stage.segments_BP2[..., 0] <= stage.segments_BP2[..., 1]).all()


def test_no_proposals_give_empty_stages_and_the_action_score() -> None:
    output = small_model()(torch.randn(2, 6, 9), None, torch.zeros(2, 0, 2))
    assert output.stages[-1].segments_BP2.shape == (2, 0, 2)
    assert output.action_logits_BT.shape == (2, 9)


def test_positions_tell_attention_about_order() -> None:
    features, whole = torch.randn(1, 6, 12), torch.tensor([[[0.0, 1.0]]])

    def response(positions: str, shift: int) -> Tensor:
        """First score of a stretch that begins `shift` later, while the rest of the video stays."""
        model = small_model(positions=positions, bi_lstm=False, non_local=False, context_ratio=0.0)
        video = torch.zeros(1, 6, 40)
        video[:, :, 10 + shift : 22 + shift] = features
        video[:, :, 32] = 3.0
        segment = (whole * 12 + 10 + shift) / 40
        return model(video, None, segment).stages[0].score_logits_BP

    torch.testing.assert_close(response("none", 0), response("none", 4), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(response("sinusoidal", 0), response("sinusoidal", 4), rtol=1e-4, atol=1e-5)


def test_thousands_of_snippets_need_no_other_model() -> None:
    model = small_model()
    with torch.no_grad():
        output = model(torch.randn(1, 6, 4000), None, PROPOSALS[:1])
    assert output.action_logits_BT.shape == (1, 4000)
    assert all(torch.isfinite(tensor).all() for tensor in tensors(output))


def test_runs_under_bfloat16_autocast() -> None:
    model, features = small_model(), torch.randn(2, 6, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(features, None, PROPOSALS)
    for found, want in zip(tensors(output), tensors(model(features, None, PROPOSALS)), strict=True):
        torch.testing.assert_close(found.float(), want, rtol=0.1, atol=0.05)
    sum(tensor.float().square().sum() for tensor in tensors(output) if tensor.requires_grad).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_builds_on_the_meta_device_and_initialises_later() -> None:
    with torch.device("meta"):
        late = RefineNetwork(RefineNetworkConfig(**SMALL), in_channels=6)
    late.to_empty(device="cpu").init_weights()
    late.load_state_dict(small_model().state_dict())
    features = torch.randn(1, 6, 9)
    found = late.eval()(features, None, PROPOSALS[:1])
    for one, other in zip(tensors(found), tensors(small_model()(features, None, PROPOSALS[:1])), strict=True):
        torch.testing.assert_close(one, other)


def test_the_best_segments_come_first_and_empty_ones_not_at_all() -> None:
    segments = PROPOSALS[1].numpy().copy()
    segments[2] = 0.7
    best, scores = proposals(segments, torch.tensor([0.3, 0.8, 0.9]).numpy(), top=5)
    assert best == pytest.approx(segments[[1, 0]])
    assert scores == pytest.approx([0.8, 0.3])
    with pytest.raises(ValueError, match=r"segments \(3, 2\) and scores \(2,\) disagree"):
        proposals(segments, scores, top=5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_dim", 260),
        ("head_dim", 0),
        ("num_bins", 0),
        ("positions", "learned"),
        ("context_ratio", -0.1),
        ("dropout", 1.0),
        ("score_weight", float("nan")),
        ("tiou_thresholds", ()),
        ("tiou_thresholds", (0.6, 0.5)),
        ("tiou_thresholds", (0.0,)),
    ],
)
def test_settings_out_of_range_name_their_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(RefineNetworkConfig(), **{field: value})
