"""What a user of TCANet can see: batches, padding, odd input, precision, learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from talaria_models.refining import RefinerOutput
from talaria_models.tcanet.config import TCANetConfig
from talaria_models.tcanet.criterion import TCANetCriterion
from talaria_models.tcanet.decode import probabilities
from talaria_models.tcanet.model import TCANet
from talaria_models.tcanet.targets import build_targets

SMALL: dict[str, Any] = {
    "hidden_dim": 16,
    "boundary_dim": 8,
    "segment_dim": 8,
    "feedforward_dim": 8,
    "num_start_samples": 8,
    "num_action_samples": 8,
    "num_end_samples": 4,
    "num_training_proposals": 6,
}


def small_model(seed: int = 0, **options: Any) -> TCANet:
    torch.manual_seed(seed)
    return TCANet(TCANetConfig(**{**SMALL, **options}), in_channels=8).eval()


def random_input(batch: int = 2, size: int = 30, rows: int = 5) -> tuple[Tensor, Tensor]:
    torch.manual_seed(7)
    return torch.randn(batch, 8, size), torch.rand(batch, rows, 2).sort(dim=2).values


def tensors(output: RefinerOutput) -> list[Tensor]:
    return [
        tensor
        for stage in output.stages
        for tensor in (stage.segments_BP2, stage.score_logits_BP, *stage.regressions.values())
    ]


def assert_same(found: RefinerOutput, want: RefinerOutput, rows: int | None = None) -> None:
    for mine, other in zip(tensors(found), tensors(want), strict=True):
        torch.testing.assert_close(mine[:, :rows], other, rtol=1e-4, atol=1e-5)


def training_step(model: TCANet, features: Tensor, mask: Tensor | None, targets: dict[str, Tensor]) -> Tensor:
    criterion = TCANetCriterion(model.config)
    output = model(features, mask, targets["proposals"], targets["valid"])
    losses = criterion(output, targets, criterion.counts(targets, output))
    assert tuple(losses) == criterion.loss_names
    return losses["total"]


def stacked(model: TCANet, videos: list[tuple[Any, Any]]) -> dict[str, Tensor]:
    rows = [build_targets(np.reshape(p, (-1, 2)), np.reshape(t, (-1, 2)), model.config) for p, t in videos]
    return {key: torch.stack([row[key] for row in rows]) for key in rows[0]}


def test_a_batch_of_two_equals_two_singles() -> None:
    model = small_model()
    features, segments = random_input()
    both = tensors(model(features, None, segments))
    assert both[0].shape == (2, 5, 2)
    assert len(both) == 3 * 4
    for index in range(2):
        single = model(features[index : index + 1], None, segments[index : index + 1])
        for whole, alone in zip(both, tensors(single), strict=True):
            torch.testing.assert_close(whole[index], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("length", [1, 4, 9, 30])
def test_padding_of_snippets_changes_nothing(length: int, align_corners: bool) -> None:
    model = small_model(align_corners=align_corners)
    features, segments = random_input()
    mask = (torch.arange(30) < length).expand(2, 30)
    assert_same(model(features, mask, segments), model(features[:, :, :length], None, segments))


@pytest.mark.parametrize("training", [False, True])
def test_padding_of_proposals_changes_nothing(training: bool) -> None:
    model = small_model(dropout=0.0, augment_proposals=False).train(training)
    features, segments = random_input()
    more = torch.cat([segments, torch.full((2, 3, 2), 0.3)], dim=1)
    valid = torch.arange(8).expand(2, 8) < 5
    assert_same(model(features, None, more, valid), model(features, None, segments), rows=5)


def test_a_video_without_proposals_stays_empty() -> None:
    features, _ = random_input()
    output = small_model()(features, None, torch.zeros(2, 0, 2))
    assert [stage.segments_BP2.shape for stage in output.stages] == [(2, 0, 2)] * 3


def test_the_first_stage_augments_the_training_proposals_of_later_ones() -> None:
    features, segments = random_input()
    model = small_model().train()
    first, second, third = model(features, None, segments).stages
    assert torch.equal(first.inputs_BP2, segments)
    assert torch.equal(second.inputs_BP2, torch.cat([segments, first.segments_BP2], dim=1))
    assert torch.equal(third.inputs_BP2, second.segments_BP2)
    assert not third.inputs_BP2.requires_grad
    first, second, third = model.eval()(features, None, segments).stages
    assert torch.equal(second.inputs_BP2, first.segments_BP2)


def test_frame_level_offsets_count_more_while_training() -> None:
    features, segments = random_input()
    model = small_model(dropout=0.0, fusion=1.0)
    length = (segments[..., 1] - segments[..., 0])[..., None]
    for training, scale in ((True, 1.0), (False, 0.2)):
        stage = model.train(training)(features, None, segments).stages[0]
        want = (segments + scale * stage.regressions["boundary"] * length).clamp_min(0.0)
        torch.testing.assert_close(stage.segments_BP2, want)


ODD_VIDEOS: dict[str, tuple[Any, Any]] = {
    "no truth": ([[0.1, 0.4], [0.2, 0.3]], []),
    "no proposal": ([], [[0.1, 0.4]]),
    "nothing": ([], []),
    "zero-length proposals": ([[0.3, 0.3], [0.0, 0.0], [1.0, 1.0]], [[0.2, 0.4]]),
    "outside": ([[-0.5, -0.2], [0.9, 1.6], [1.2, 1.4], [-1.0, 2.0]], [[0.9, 1.5], [-0.3, 0.1]]),
    "zero-length truth": ([[0.3, 0.3], [0.2, 0.5]], [[0.3, 0.3]]),
    "hit": ([[0.2, 0.4], [0.2, 0.41]], [[0.2, 0.4]]),
}


@pytest.mark.parametrize("size", [1, 3, 30])
@pytest.mark.parametrize("name", ODD_VIDEOS)
def test_odd_videos_give_a_finite_loss_and_gradient(name: str, size: int) -> None:
    model = small_model().train()
    total = training_step(model, torch.randn(1, 8, size), None, stacked(model, [ODD_VIDEOS[name]]))
    total.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(total)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert name != "hit" or total.item() > 0.0


@pytest.mark.parametrize("augment", [False, True])
def test_micro_batches_add_up_to_the_global_loss_and_gradient(augment: bool) -> None:
    torch.manual_seed(0)
    model = small_model(dropout=0.0, augment_proposals=augment).double().train()
    videos = [*ODD_VIDEOS.values(), ([[0.5, 0.7], [0.1, 0.9], [0.6, 0.9]], [[0.48, 0.7], [0.1, 0.3]])]
    targets = stacked(model, videos)
    features = torch.randn(len(videos), 8, 12, dtype=torch.float64)
    cuts = ([slice(0, 8)], [slice(0, 1), slice(1, 5), slice(5, 8)])
    found = [gradients_of(model, features, targets, cut) for cut in cuts]
    assert found[0][0] > 0.0
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    for cut, whole in zip(found[1][1], found[0][1], strict=True):
        torch.testing.assert_close(cut, whole, rtol=1e-4, atol=1e-5)


def gradients_of(
    model: TCANet, features: Tensor, targets: dict[str, Tensor], cuts: list[slice]
) -> tuple[float, list[Tensor]]:
    """Total loss and gradients when the batch is cut into micro-batches, counted in a pass before."""
    criterion = TCANetCriterion(model.config)
    parts = [{key: value[cut] for key, value in targets.items()} for cut in cuts]
    outputs = [
        model(features[cut], None, part["proposals"], part["valid"])
        for cut, part in zip(cuts, parts, strict=True)
    ]
    pairs = list(zip(outputs, parts, strict=True))
    counts = torch.stack([criterion.counts(part, output) for output, part in pairs]).sum(dim=0)
    total = torch.stack([criterion(output, part, counts)["total"] for output, part in pairs]).sum()
    return total.item(), list(torch.autograd.grad(total, list(model.parameters())))


def test_a_model_learns_to_move_proposals() -> None:
    torch.manual_seed(0)
    model = small_model(dropout=0.0, length_scale=1.0, centre_scale=1.0, boundary_scale=1.0)
    features = torch.randn(2, 8, 40)
    truths = np.array([[0.2, 0.5], [0.6, 0.8]])
    shift = np.array([0.03, -0.05])
    shifted = [truths + shift, truths - shift]
    targets = stacked(model, [(rows, truths) for rows in shifted])
    optimiser = torch.optim.Adam(model.train().parameters(), lr=0.006)
    losses = []
    for _ in range(70):
        total = training_step(model, features, None, targets)
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(total.item())
    assert losses[-1] < 0.1 * losses[0]
    with torch.no_grad():
        output = model.eval()(features, None, targets["proposals"], targets["valid"])
    moved = probabilities(output).segments_BKP2[:, -1, :2]
    before = np.abs(np.stack(shifted) - truths).mean()
    assert np.abs(moved.numpy() - truths).mean() < 0.3 * before


def test_runs_under_bfloat16_autocast() -> None:
    model = small_model().train()
    targets = stacked(model, [ODD_VIDEOS["hit"], ODD_VIDEOS["no truth"]])
    model.encoders.eval()
    features = torch.randn(2, 8, 30)
    exact = training_step(model, features, None, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total = training_step(model, features, None, targets)
    total.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(total, exact, rtol=0.1, atol=0.02)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_builds_on_the_meta_device_and_initialises_later() -> None:
    with torch.device("meta"):
        model = TCANet(TCANetConfig(), in_channels=400)
        late = TCANet(TCANetConfig(**SMALL), in_channels=8)
    assert sum(parameter.numel() for parameter in model.parameters()) == 10_839_055
    late.to_empty(device="cpu").init_weights()
    source = small_model()
    late.eval().load_state_dict(source.state_dict())
    features, segments = random_input()
    assert_same(late(features, None, segments), source(features, None, segments))
