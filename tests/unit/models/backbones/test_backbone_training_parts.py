"""Pixels, the clip loss and batch-norm statistics."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from talaria_models.backbones.batchnorm import recompute_statistics
from talaria_models.backbones.criterion import ClipCriterion
from talaria_models.backbones.pixels import normalise
from talaria_models.base import ClipOutput


def test_normalise_moves_the_colours_and_scales_them() -> None:
    clips = torch.tensor([0, 51, 255, 255, 0, 102], dtype=torch.uint8).view(1, 1, 1, 2, 3)
    out = normalise(clips, (0.5, 0.2, 0.0), (0.5, 0.1, 0.25))
    assert out.shape == (1, 3, 1, 1, 2)
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last_3d)
    expected = torch.tensor([[-1.0, 1.0], [0.0, -2.0], [4.0, 1.6]]).view(1, 3, 1, 1, 2)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-6)
    assert clips.flatten().tolist() == [0, 51, 255, 255, 0, 102]


@pytest.mark.parametrize("clips", [torch.zeros(1, 2, 4, 4, 3), torch.zeros(1, 3, 2, 4, 4, dtype=torch.uint8)])
def test_normalise_refuses_other_clips(clips: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(B, L, H, W, 3\)"):
        normalise(clips, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def output(logits: Tensor) -> ClipOutput:
    return ClipOutput(torch.zeros(len(logits), 1), logits)


def test_loss_value_with_smoothed_labels() -> None:
    logits = torch.tensor([[math.log(4.0), 0.0, 0.0], [0.0, 0.0, math.log(2.0)]])
    targets = {"label": torch.tensor([0, 1])}
    criterion = ClipCriterion(label_smoothing=0.3)
    losses = criterion(output(logits), targets, criterion.counts(targets))
    first = -(0.8 * math.log(4 / 6) + 0.2 * math.log(1 / 6))
    second = -(0.8 * math.log(1 / 4) + 0.1 * math.log(1 / 4) + 0.1 * math.log(2 / 4))
    assert losses["total"].item() == pytest.approx((first + second) / 2, rel=1e-6)
    assert losses["classification"].item() == losses["total"].item()


def test_micro_batches_add_up_to_the_global_loss_and_gradient() -> None:
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    label = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    criterion = ClipCriterion(label_smoothing=0.1)
    parts = [slice(0, 2), slice(2, 7)]
    counts = torch.stack([criterion.counts({"label": label[part]}) for part in parts]).sum(0)
    whole = criterion(output(logits), {"label": label}, counts)["total"]
    split = sum(criterion(output(logits[part]), {"label": label[part]}, counts)["total"] for part in parts)
    torch.testing.assert_close(split, whole)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (whole, split)]
    torch.testing.assert_close(*gradients)


def test_no_clips_give_a_finite_loss() -> None:
    criterion = ClipCriterion()
    targets = {"label": torch.zeros(0, dtype=torch.int64)}
    assert criterion(output(torch.zeros(0, 5)), targets, criterion.counts(targets))["total"].item() == 0.0


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0])
def test_label_smoothing_out_of_range(label_smoothing: float) -> None:
    with pytest.raises(ValueError, match=r"^label_smoothing: "):
        ClipCriterion(label_smoothing)


def network() -> nn.Module:
    return nn.Sequential(nn.BatchNorm3d(3, momentum=0.2), nn.Dropout(0.5))


def batches() -> list[Tensor]:
    rng = np.random.default_rng(0)
    return [torch.from_numpy(rng.normal(2.0, 3.0, (n, 3, 2, 4, 4)).astype(np.float32)) for n in (4, 2, 1)]


def test_statistics_are_the_weighted_averages_over_the_batches() -> None:
    model = network()
    assert recompute_statistics(model, batches()) == 7
    clips = [batch.double().numpy() for batch in batches()]
    mean = sum(len(c) * c.mean((0, 2, 3, 4)) for c in clips) / 7
    var = sum(len(c) * c.var((0, 2, 3, 4)) * (c[:, 0].size / (c[:, 0].size - 1)) for c in clips) / 7
    np.testing.assert_allclose(model[0].running_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(model[0].running_var.numpy(), var, rtol=1e-5)


def test_statistics_forget_what_training_left_and_ignore_the_order() -> None:
    fresh, trained = network(), network()
    trained[0].running_mean.fill_(torch.nan)
    trained[0].running_var.fill_(100.0)
    recompute_statistics(fresh, batches())
    recompute_statistics(trained, batches()[::-1])
    torch.testing.assert_close(trained[0].running_mean, fresh[0].running_mean)
    torch.testing.assert_close(trained[0].running_var, fresh[0].running_var)


def test_the_model_is_handed_back_as_it_was() -> None:
    model = network().train()
    model[0].eval()
    recompute_statistics(model, batches())
    assert [module.training for module in model.modules()] == [True, False, True]
    assert model[0].momentum == 0.2


def test_no_batches_are_an_error_only_for_models_with_batch_norm() -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        recompute_statistics(network(), [])

    def unread() -> Iterator[Tensor]:
        raise AssertionError("read")
        yield torch.zeros(1)

    assert recompute_statistics(nn.Linear(2, 2), unread()) == 0
