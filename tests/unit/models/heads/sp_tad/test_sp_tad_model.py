"""What a user of SP-TAD can see: shapes, batches, padding, time, gradients, memory's price, settings."""

from __future__ import annotations

import copy

import pytest
import torch
from sp_tad_cases import NUM_CLASSES, noise, small_config, small_model, tensors
from torch import Tensor

from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.sp_tad.model import SPTAD, SPTADOutput

PUBLISHED_PARAMETERS = 12_697_264
"""Of I3D for colours, 400 classes."""


def summed(output: SPTADOutput) -> Tensor:
    return torch.stack([tensor.square().mean() for tensor in tensors(output)]).sum()


@pytest.mark.parametrize("streams", [("rgb",), ("flow",), ("rgb", "flow"), ("flow", "rgb")])
def test_every_choice_of_streams_detects(streams: tuple[str, ...]) -> None:
    model = small_model(streams=streams, num_stages=3)
    clips = noise(2, model.config)
    output = model(clips.get("rgb_BLHWC"), clips.get("flow_BLHWC"))
    assert len(output.stages) == 3
    assert output.clip_logits_BK.shape == (2, NUM_CLASSES)
    for stage in output.stages:
        assert stage.segments_BP2.shape == (2, 5, 2)
        assert stage.class_logits_BPK.shape == (2, 5, NUM_CLASSES)
        assert (stage.segments_BP2[..., 0] <= stage.segments_BP2[..., 1]).all()
    assert all(tensor.isfinite().all() for tensor in tensors(output))


def test_the_paper_s_network_has_its_levels() -> None:
    with torch.device("meta"):
        model = SPTAD(SPTADConfig(), num_classes=20)
        clips = noise_like_thumos()
        levels = model.backbone(*clips)
    assert [tuple(level.shape) for level in levels] == [(1, 960, 128), (1, 1664, 64), (1, 2048, 32)]
    parameters = sum(parameter.numel() for parameter in model.stream("rgb").parameters())
    assert parameters == PUBLISHED_PARAMETERS - 399 * 1025  # a classifier of one class


def noise_like_thumos() -> tuple[Tensor, Tensor]:
    return (
        torch.zeros(1, 256, 96, 96, 3, dtype=torch.uint8),
        torch.zeros(1, 256, 96, 96, 2, dtype=torch.uint8),
    )


def test_backbone_and_heads_apart_are_the_network() -> None:
    model = small_model()
    clips = noise(2, model.config)
    length = torch.tensor([32, 11])
    whole = model(**clips, length_B=length)
    apart = model.heads(model.backbone(**clips, length_B=length), length)
    for one, other in zip(tensors(whole), tensors(apart), strict=True):
        torch.testing.assert_close(one, other)


def test_a_batch_of_two_equals_two_singles() -> None:
    model = small_model()
    clips, length = noise(2, model.config), torch.tensor([32, 19])
    both = tensors(model(**clips, length_B=length))
    for row in range(2):
        part = slice(row, row + 1)
        single = model(**{name: clip[part] for name, clip in clips.items()}, length_B=length[part])
        for whole, alone in zip(both, tensors(single), strict=True):
            torch.testing.assert_close(whole[row], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 7, 16, 31])
def test_what_stands_in_the_padding_changes_nothing(length: int) -> None:
    model = small_model(streams=("rgb", "flow"))
    clips, other = noise(1, model.config), noise(1, model.config, seed=9)
    for name, clip in other.items():
        clip[:, :length] = clips[name][:, :length]
    lengths = torch.tensor([length])
    for one, same in zip(
        tensors(model(**clips, length_B=lengths)), tensors(model(**other, length_B=lengths)), strict=True
    ):
        assert one.isfinite().all()
        torch.testing.assert_close(one, same)


def test_a_full_window_needs_no_length() -> None:
    model = small_model()
    clips = noise(1, model.config)
    plain, told = model(**clips), model(**clips, length_B=torch.tensor([32]))
    for one, other in zip(tensors(plain), tensors(told), strict=True):
        torch.testing.assert_close(one, other)


def test_later_levels_and_later_proposals_give_later_segments() -> None:
    """The heads know no absolute time; the edges of the window aside, nothing else moves."""
    model = small_model(window_frames=128, num_stages=1)
    heads = model.heads
    with torch.no_grad():
        heads.proposal_segments.copy_(
            torch.tensor([[0.3, 0.1], [0.35, 0.2], [0.4, 0.3], [0.3, 0.2], [0.4, 0.06]])
        )
    levels = [torch.randn(1, dim, 64 // 2**i) for i, dim in enumerate(model.backbone.level_dims)]
    early = heads(levels)
    with torch.no_grad():
        heads.proposal_segments[:, 0] += 0.25
    late = heads([torch.roll(level, level.shape[2] // 4, dims=2) for level in levels])
    shifted = early.stages[0].segments_BP2 + 0.25
    torch.testing.assert_close(late.stages[0].segments_BP2, shifted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        late.stages[0].class_logits_BPK, early.stages[0].class_logits_BPK, rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(late.clip_logits_BK, early.clip_logits_BK, rtol=1e-4, atol=1e-5)


def test_the_order_of_proposals_is_the_order_of_segments() -> None:
    model = small_model()
    clips = noise(1, model.config)
    plain = model(**clips)
    with torch.no_grad():
        for parameter in (model.heads.proposal_segments, model.heads.proposal_features):
            parameter.copy_(parameter.flip(0).clone())
    turned = model(**clips)
    for one, other in zip(plain.stages, turned.stages, strict=True):
        torch.testing.assert_close(one.segments_BP2, other.segments_BP2.flip(1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.class_logits_BPK, other.class_logits_BPK.flip(1), rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_weight_that_trains() -> None:
    model = small_model(streams=("rgb", "flow"), freeze_norms=False).train()
    with torch.no_grad():  # lengths of every level
        model.heads.proposal_segments[:, 1] = torch.tensor([0.1, 0.2, 0.4, 0.8, 1.1])
    summed(model(**noise(2, model.config))).backward()
    parts = list(model.backbone_parameters()) + list(model.head_parameters())
    assert len(parts) == len([parameter for parameter in model.parameters() if parameter.requires_grad])
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            # Keys of attention have a bias that softmax cannot see.
            assert parameter.grad.abs().sum() > 0 or "in_proj_bias" in name, name
    assert model.heads.proposal_segments.grad.abs().sum() > 0
    assert model.heads.proposal_features.grad.abs().sum() > 0


def test_heads_pass_on_segments_without_their_gradient() -> None:
    model = small_model()
    output = model(**noise(1, model.config))
    output.stages[1].segments_BP2.sum().backward()
    assert model.heads.proposal_segments.grad is None


@pytest.mark.parametrize("freeze_norms", [True, False])
def test_checkpointing_changes_neither_gradients_nor_statistics(freeze_norms: bool) -> None:
    plain = small_model(streams=("rgb", "flow"), freeze_norms=freeze_norms).train()
    sparing = small_model(
        streams=("rgb", "flow"), freeze_norms=freeze_norms, activation_checkpointing=True
    ).train()
    sparing.load_state_dict(plain.state_dict())
    clips = noise(2, plain.config)
    for model in (plain, sparing):
        summed(model(**clips, length_B=torch.tensor([32, 20]))).backward()
    for (name, one), (_, other) in zip(plain.named_parameters(), sparing.named_parameters(), strict=True):
        if one.requires_grad:
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-7, msg=name)
    statistics = [name for name in plain.state_dict() if "running" in name]
    assert statistics
    for name in statistics:
        torch.testing.assert_close(sparing.state_dict()[name], plain.state_dict()[name], msg=name)


def test_fixed_norms_make_training_and_evaluation_see_the_same() -> None:
    model = small_model()
    clips = noise(2, model.config)
    before = copy.deepcopy(model.state_dict())
    evaluated, trained = model.eval()(**clips), model.train()(**clips)
    for one, other in zip(tensors(evaluated), tensors(trained), strict=True):
        torch.testing.assert_close(one, other)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], msg=name)


def test_a_scale_of_zero_leaves_the_backbone_alone() -> None:
    model = small_model(backbone_lr_scale=0.0, freeze_norms=False).train()
    before = copy.deepcopy(model.backbone.state_dict())
    assert list(model.backbone_parameters()) == []
    summed(model(**noise(2, model.config))).backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    for name, value in model.backbone.state_dict().items():
        torch.testing.assert_close(value, before[name], msg=name)


def test_a_network_from_the_meta_device_can_be_built_later() -> None:
    with torch.device("meta"):
        late = SPTAD(small_config(), NUM_CLASSES)
    late.to_empty(device="cpu").init_weights()
    ready = small_model()
    late.load_state_dict(ready.state_dict())
    clips = noise(1, ready.config)
    for one, other in zip(tensors(late.eval()(**clips)), tensors(ready(**clips)), strict=True):
        torch.testing.assert_close(one, other)


def test_an_untrained_network_starts_from_the_whole_window_and_its_prior() -> None:
    torch.manual_seed(0)
    config = small_config(class_prior=0.02)
    model = SPTAD(config, NUM_CLASSES)
    assert model.heads.learned_segments().tolist() == [[0.0, 1.0]] * config.num_proposals
    assert torch.sigmoid(model.heads.stages[0].classify.bias).tolist() == pytest.approx([0.02] * NUM_CLASSES)


def test_learned_proposals_never_lose_their_length() -> None:
    model = small_model()
    with torch.no_grad():
        model.heads.proposal_segments[:, 1] = -3.0
    output = model(**noise(1, model.config))
    assert all(tensor.isfinite().all() for tensor in tensors(output))
    assert (model.heads.learned_segments().diff(dim=1) > 0).all()


def test_bfloat16_stays_close() -> None:
    model = small_model()
    clips = noise(2, model.config)
    exact = model(**clips)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(**clips)
    assert rough.stages[0].segments_BP2.dtype == torch.float32
    assert (rough.stages[0].segments_BP2 - exact.stages[0].segments_BP2).abs().max() < 0.1


def test_frames_that_do_not_fit_are_refused() -> None:
    model = small_model(streams=("rgb", "flow"))
    clips = noise(1, model.config)
    with pytest.raises(ValueError, match="streams: expected rgb and flow, got no flow"):
        model(clips["rgb_BLHWC"])
    with pytest.raises(ValueError, match="clips: expected"):
        model(clips["rgb_BLHWC"][:, :16], clips["flow_BLHWC"])
    with pytest.raises(ValueError, match="uint8"):
        model(clips["rgb_BLHWC"].float(), clips["flow_BLHWC"])
