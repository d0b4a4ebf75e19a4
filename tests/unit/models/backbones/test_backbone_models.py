"""Both backbones: sizes of clips, batches, the meta device, and that tiny ones learn motion from scratch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from talaria_models.backbones.batchnorm import recompute_statistics
from talaria_models.backbones.criterion import ClipCriterion
from talaria_models.backbones.pixels import normalise
from talaria_models.backbones.slowfast import config as slowfast
from talaria_models.backbones.slowfast.model import SlowFast
from talaria_models.backbones.vivit import config as vivit
from talaria_models.backbones.vivit.model import ViViT

Build = Callable[..., SlowFast | ViViT]


def build_slowfast(num_classes: int, *size: int) -> SlowFast:
    return SlowFast(slowfast.TINY, num_classes, *size)


def build_factorised(num_classes: int, *size: int) -> ViViT:
    return ViViT(vivit.TINY, num_classes, *size)


def build_joint(num_classes: int, *size: int) -> ViViT:
    joint = replace(vivit.TINY, attention="joint", temporal_depth=0, pooling="token")
    return ViViT(joint, num_classes, *size)


BUILDS = pytest.mark.parametrize("build", [build_slowfast, build_factorised, build_joint])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def moving_squares(num_pairs: int, seed: int) -> tuple[Tensor, Tensor]:
    """(2P, 16, 64, 64, 3) uint8 clips and labels: squares that go right (1), and the same clips reversed (0).

    A pair holds the same frames, so that nothing but motion tells its labels apart.
    """
    generator = torch.Generator().manual_seed(seed)
    right = torch.zeros(num_pairs, 16, 64, 64, 3, dtype=torch.uint8)
    for clip in right:
        top, left = torch.randint(0, 48, (2,), generator=generator).tolist()
        colour = torch.randint(80, 256, (3,), generator=generator, dtype=torch.uint8)
        for frame in range(16):
            columns = torch.arange(left + 2 * frame, left + 2 * frame + 16) % 64
            clip[frame, top : top + 16, columns] = colour
    labels = torch.arange(2).flip(0).repeat_interleave(num_pairs)
    return torch.cat([right, right.flip(1)]), labels


def randomised(model: nn.Module) -> nn.Module:
    """No weight and no statistic at a value that hides an error (zero heads, unit norms)."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            spread = torch.randn_like(tensor) * 0.1
            tensor.copy_(spread.abs() + 1.0 if name.endswith("running_var") else tensor + spread)
    return model


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


@BUILDS
def test_a_tiny_one_learns_the_direction_of_motion(build: Build) -> None:
    clips_u8, labels = moving_squares(8, seed=1)
    model = build(2, 16, 64, 64)
    clips = normalise(clips_u8, model.config.pixel_mean, model.config.pixel_std)
    criterion = ClipCriterion()
    targets = {"label": labels}
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(40):
        loss = criterion(model(clips), targets, criterion.counts(targets))["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.05:
            break
    recompute_statistics(model, clips.split(8))
    with torch.inference_mode():
        logits = model.eval()(clips).logits_BK
    assert logits.argmax(1).equal(labels)
