"""Both backbones: sizes of clips, batches, the meta device, and that tiny ones learn motion from scratch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tiny_backbones import randomised, tells_motion_apart
from torch import nn

from talaria_models.backbones.slowfast import config as slowfast
from talaria_models.backbones.slowfast.model import SlowFast
from talaria_models.backbones.vivit import config as vivit
from talaria_models.backbones.vivit.model import ViViT

Build = Callable[..., SlowFast | ViViT]
JOINT = replace(vivit.TINY, attention="joint", temporal_depth=0, pooling="token")


def build_slowfast(num_classes: int, *size: int) -> SlowFast:
    return SlowFast(slowfast.TINY, num_classes, *size)


def build_factorised(num_classes: int, *size: int) -> ViViT:
    return ViViT(vivit.TINY, num_classes, *size)


def build_joint(num_classes: int, *size: int) -> ViViT:
    return ViViT(JOINT, num_classes, *size)


BUILDS = pytest.mark.parametrize("build", [build_slowfast, build_factorised, build_joint])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@BUILDS
@pytest.mark.parametrize("size", [(8, 64, 80), (16, 48, 64), (32, 64, 64)])
def test_shapes(build: Build, size: tuple[int, int, int]) -> None:
    model = build(5, *size).eval()
    with torch.inference_mode():
        out = model(torch.randn(2, 3, *size))
    assert out.features_BC.shape == (2, model.feature_dim)
    assert out.logits_BK.shape == (2, 5)


@BUILDS
def test_a_batch_of_two_equals_two_singles(build: Build) -> None:
    model = randomised(build(5, 8, 48, 64)).eval()
    clips = torch.randn(2, 3, 8, 48, 64)
    with torch.inference_mode():
        both = model(clips)
        singles = [model(clip) for clip in clips.split(1)]
    for name in ("features_BC", "logits_BK"):
        together = torch.cat([getattr(single, name) for single in singles])
        torch.testing.assert_close(getattr(both, name), together, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(both.logits_BK[0], both.logits_BK[1], atol=1e-3)


@BUILDS
def test_clips_of_another_size_are_refused(build: Build) -> None:
    model = build(5, 8, 48, 64)
    with pytest.raises(ValueError, match=r"\(B, \*\(3, 8, 48, 64\)\), got \(2, 3, 8, 64, 48\)"):
        model(torch.zeros(2, 3, 8, 64, 48))


def test_sizes_that_do_not_divide_name_the_setting() -> None:
    with pytest.raises(ValueError, match="alpha: 18 frames"):
        build_slowfast(5, 18, 64, 64)
    with pytest.raises(ValueError, match="tubelet_frames: num_frames 10"):
        build_factorised(5, 10, 64, 64)
    with pytest.raises(ValueError, match="patch_size: width 60"):
        build_factorised(5, 16, 64, 60)


@BUILDS
def test_built_on_the_meta_device_and_brought_to_life(build: Build) -> None:
    with torch.device("meta"):
        model = build(5, 16, 64, 64)
    assert all(parameter.is_meta for parameter in model.parameters())
    model = model.to_empty(device="cpu")
    torch.manual_seed(3)
    model.init_weights()
    torch.manual_seed(3)
    ordinary = build(5, 16, 64, 64)
    torch.manual_seed(3)
    ordinary.init_weights()
    clips = torch.randn(1, 3, 16, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(clips).features_BC, ordinary.eval()(clips).features_BC)


@pytest.mark.parametrize(
    ("config", "size", "parameters"),
    [
        (slowfast.R50_8X8, (32, 224, 224), 34_566_488),
        (slowfast.R101_8X8, (32, 224, 224), 62_826_968),
        (slowfast.R101_50_50_8X8, (32, 224, 224), 53_774_808),
        (slowfast.MMACTION2_R50_8X8, (32, 224, 224), 34_565_560),
        (slowfast.MMACTION2_R101_8X8, (32, 224, 224), 62_912_312),
        (vivit.BASE_16X2, (32, 224, 224), 88_954_000),
    ],
)
def test_published_settings_have_the_published_number_of_parameters(
    config: slowfast.SlowFastConfig | vivit.ViViTConfig, size: tuple[int, int, int], parameters: int
) -> None:
    with torch.device("meta"):
        model: nn.Module
        if isinstance(config, slowfast.SlowFastConfig):
            model = SlowFast(config, 400, *size)
        else:
            model = ViViT(config, 400, *size)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_slow_frames_follow_the_two_published_rules() -> None:
    ends = SlowFast(slowfast.TINY, 2, 32, 32, 32)
    strided = SlowFast(replace(slowfast.TINY, slow_frames="strided"), 2, 32, 32, 32)
    assert ends.slow_frames_idx.tolist() == [0, 4, 8, 13, 17, 22, 26, 31]
    assert strided.slow_frames_idx.tolist() == [0, 4, 8, 12, 16, 20, 24, 28]


def test_joint_attention_sees_all_tubelets_and_factorised_those_of_one_time() -> None:
    clips = torch.randn(1, 3, 16, 32, 32)
    swapped = clips.clone()  # one patch changes places with its neighbour in time
    swapped[:, :, 0:4, :8, :8], swapped[:, :, 4:8, :8, :8] = (
        clips[:, :, 4:8, :8, :8],
        clips[:, :, 0:4, :8, :8],
    )
    for build, unchanged in ((build_joint, True), (build_factorised, False)):
        model = randomised(build(5, 16, 32, 32)).eval()
        with torch.inference_mode():
            for encoder in (model.encoder, model.temporal):
                if encoder is not None:
                    encoder.positions.zero_()
            before, after = model(clips).features_BC, model(swapped).features_BC
        assert torch.allclose(before, after, atol=1e-5) is unchanged


def test_factorised_orders_time_by_its_positions_alone() -> None:
    model = randomised(build_factorised(5, 16, 32, 32)).eval()
    clips = torch.randn(1, 3, 16, 32, 32)
    later = clips.roll(4, dims=2)  # whole tubelets
    inside = clips.unflatten(2, (4, 4)).flip(3).flatten(2, 3)  # order of frames inside tubelets
    with torch.inference_mode():
        assert not torch.allclose(model(clips).features_BC, model(later).features_BC, atol=1e-5)
        model.temporal.positions.zero_()
        first = model(clips).features_BC
        torch.testing.assert_close(first, model(later).features_BC, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(first, model(inside).features_BC, atol=1e-3)


@BUILDS
def test_dropout_acts_in_training_only(build: Build) -> None:
    model = randomised(build(5, 8, 32, 32))
    clips = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        assert not torch.equal(model(clips).logits_BK, model(clips).logits_BK)
        model.eval()
        assert torch.equal(model(clips).logits_BK, model(clips).logits_BK)


def test_dropout_before_the_classifier_leaves_features_as_they_are() -> None:
    model = randomised(ViViT(replace(JOINT, dropout=0.0, head_dropout=0.5), 5, 8, 32, 32))
    clips = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        first, second = model(clips), model(clips)
    assert torch.equal(first.features_BC, second.features_BC)
    assert not torch.equal(first.logits_BK, second.logits_BK)


@pytest.mark.parametrize("config", [slowfast.TINY, vivit.TINY, JOINT])
def test_a_tiny_one_learns_the_direction_of_motion(
    config: slowfast.SlowFastConfig | vivit.ViViTConfig,
) -> None:
    assert tells_motion_apart(config, lr=4e-3)
