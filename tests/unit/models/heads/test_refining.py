"""What refiners share: matching, offsets and the loss of a cascade."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from talaria_models.offsets import decode_boundary, decode_segment, encode_boundary, encode_segment
from talaria_models.refining import RefinedStage, RefinerOutput, build_targets
from talaria_models.refining_loss import RefiningCriterion, drawn_weights, expected_weights, stage_counts

SHORTEST = 1e-7
LIMITS = (0.5, 0.7)


@st.composite
def segments(draw: st.DrawFn) -> Tensor:
    """One to five segments longer than a thousandth of the video."""
    rows = draw(st.lists(st.tuples(st.floats(-0.5, 1.2), st.floats(1e-3, 1.0)), min_size=1, max_size=5))
    return torch.tensor([[start, start + length] for start, length in rows], dtype=torch.float64)


@settings(max_examples=60, deadline=None)
@given(segments(), segments())
def test_decoding_the_targets_returns_the_truth(proposals: Tensor, truths: Tensor) -> None:
    count = min(len(proposals), len(truths))
    proposals, truths = proposals[:count], truths[:count]
    moved = decode_boundary(proposals, encode_boundary(proposals, truths, SHORTEST))
    torch.testing.assert_close(moved, truths, rtol=0, atol=1e-9)
    moved = decode_segment(proposals, encode_segment(proposals, truths, SHORTEST))
    torch.testing.assert_close(moved, truths, rtol=0, atol=1e-9)


def test_no_offset_makes_an_endless_segment() -> None:
    moved = decode_segment(torch.tensor([0.2, 0.4]), torch.tensor([0.0, 1e6]))
    assert torch.isfinite(moved).all()
    assert torch.isfinite(encode_segment(torch.tensor([0.4, 0.4]), torch.tensor([0.1, 0.1]), SHORTEST)).all()


def test_every_proposal_takes_the_truth_it_overlaps_most_else_the_nearest() -> None:
    truths = np.array([[0.1, 0.3], [0.25, 0.5], [0.9, 1.3]])
    proposals = np.array(
        [[0.1, 0.3], [0.28, 0.5], [0.6, 0.7], [0.75, 0.8], [0.4, 0.4], [1.2, 1.5], [-1.0, 0.05]]
    )
    targets = build_targets(proposals, truths, num_proposals=8)
    cut = np.array([[0.1, 0.3], [0.25, 0.5], [0.9, 1.0]])
    want = cut[[0, 1, 1, 2, 1, 2, 0]]
    np.testing.assert_allclose(targets["truth"][:7].numpy(), want, atol=1e-6)
    np.testing.assert_allclose(targets["tiou"].numpy(), [1.0, 0.88, 0, 0, 0, 0, 0, 0], atol=1e-6)
    assert targets["valid"].tolist() == [True] * 7 + [False]
    assert not targets["proposals"][7:].any()
    assert build_targets(proposals, truths, num_proposals=2)["tiou"].shape == (2,)


def test_without_truths_nothing_overlaps() -> None:
    targets = build_targets(np.array([[0.0, 0.5], [0.0, 0.0]]), np.zeros((0, 2)))
    assert not targets["truth"].any()
    assert not targets["tiou"].any()
    assert build_targets(np.zeros((0, 2)), np.array([[0.1, 0.2]]))["truth"].shape == (0, 2)


def test_impossible_segments_are_all_named() -> None:
    with pytest.raises(ValueError, match=r"truths: .*row 0: \[0.6, 0.2\]; row 2: \[nan, 0.5\]"):
        build_targets(np.array([[0.1, 0.2]]), np.array([[0.6, 0.2], [0.1, 0.2], [np.nan, 0.5]]))
    with pytest.raises(ValueError, match="proposals: expected start <= end"):
        build_targets(np.array([[0.3, 0.2]]), np.zeros((0, 2)))


def random_batch(seed: int, videos: int = 4, size: int = 30) -> tuple[RefinerOutput, dict[str, Tensor]]:
    """A cascade's output around random truths; the second stage holds two copies of the proposals."""
    rng = np.random.default_rng(seed)
    rows = []
    for video in range(videos):
        truths = np.sort(rng.random((video, 2)), axis=1)
        near = np.repeat(truths, 6, axis=0) + rng.normal(0, 0.03, (6 * video, 2))
        proposals = np.sort(np.concatenate([near, rng.random((5, 2))]), axis=1)
        rows.append(build_targets(proposals, truths, size))
    targets = {key: torch.stack([row[key] for row in rows]) for key in rows[0]}
    inputs, valid = targets["proposals"], targets["valid"]
    later = inputs + torch.from_numpy(rng.normal(0, 0.01, inputs.shape)).float()
    stages = [stage_of(inputs, valid, rng), stage_of(torch.cat([inputs, later], 1), valid.repeat(1, 2), rng)]
    return RefinerOutput(tuple(stages)), targets


def stage_of(inputs: Tensor, valid: Tensor, rng: np.random.Generator) -> RefinedStage:
    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(size=shape)).float().requires_grad_()

    codes = {code: normal(*inputs.shape) for code in ("boundary", "segment")}
    return RefinedStage(inputs, valid, inputs, normal(*valid.shape), codes)


def cut_of(output: RefinerOutput, part: slice) -> RefinerOutput:
    def video_rows(stage: RefinedStage) -> RefinedStage:
        regressions = {code: offsets[part] for code, offsets in stage.regressions.items()}
        return RefinedStage(
            stage.inputs_BP2[part],
            stage.valid_BP[part],
            stage.segments_BP2[part],
            stage.score_logits_BP[part],
            regressions,
        )

    return RefinerOutput(tuple(video_rows(stage) for stage in output.stages))


def leaves(output: RefinerOutput) -> list[Tensor]:
    return [t for stage in output.stages for t in (stage.score_logits_BP, *stage.regressions.values())]


def total_and_gradients(output: RefinerOutput, targets: dict[str, Tensor], cuts: list[slice]) -> Any:
    criterion = RefiningCriterion(LIMITS)
    parts = [(cut_of(output, cut), {key: value[cut] for key, value in targets.items()}) for cut in cuts]
    counts = torch.stack([criterion.counts(target, part) for part, target in parts]).sum(dim=0)
    assert counts.shape == (criterion.num_counts,)
    losses = [criterion(part, target, counts) for part, target in parts]
    assert all(tuple(loss) == criterion.loss_names for loss in losses)
    total = torch.stack([loss["total"] for loss in losses]).sum()
    return total.item(), torch.autograd.grad(total, leaves(output))


@pytest.mark.parametrize("seed", [0, 1])
def test_micro_batches_add_up_to_the_global_loss_and_gradient(seed: int) -> None:
    output, targets = random_batch(seed)
    whole, gradients = total_and_gradients(output, targets, [slice(0, 4)])
    cut, cut_gradients = total_and_gradients(output, targets, [slice(0, 1), slice(1, 3), slice(3, 4)])
    assert whole > 0.0
    assert cut == pytest.approx(whole, rel=1e-5)
    for found, want in zip(cut_gradients, gradients, strict=True):
        torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-6)


def test_padding_has_no_part_in_the_loss() -> None:
    output, targets = random_batch(0)
    _, gradients = total_and_gradients(output, targets, [slice(0, 4)])
    for stage, score in zip(output.stages, gradients[::3], strict=True):
        assert not score[~stage.valid_BP].any()
        assert score[stage.valid_BP].any()


def test_a_batch_without_truths_costs_nothing_and_stays_finite() -> None:
    output, targets = random_batch(0, videos=1)
    total, gradients = total_and_gradients(output, targets, [slice(0, 1)])
    assert total == 0.0
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_the_targets_themselves_cost_least() -> None:
    output, targets = random_batch(1)
    stage, truth = output.stages[0], targets["truth"]
    right = {
        "boundary": encode_boundary(stage.inputs_BP2, truth, SHORTEST),
        "segment": encode_segment(stage.inputs_BP2, truth, SHORTEST),
    }
    scores = torch.logit(targets["tiou"].clamp(1e-4, 1 - 1e-4))
    perfect = RefinedStage(stage.inputs_BP2, stage.valid_BP, stage.inputs_BP2, scores, right)
    criterion = RefiningCriterion([0.5])
    for chosen, limit in ((perfect, 1e-6), (stage, 10.0)):
        answer = RefinerOutput((chosen,))
        losses = criterion(answer, targets, criterion.counts(targets, answer))
        assert losses["total"].item() < limit
    assert losses["total"].item() > 0.1


@pytest.mark.parametrize("limit", LIMITS)
def test_expected_weights_are_the_mean_of_the_drawn_ones(limit: float) -> None:
    _, targets = random_batch(1)
    tiou, valid = targets["tiou"], targets["valid"]
    counts = stage_counts(tiou, valid, limit)
    expected, total = expected_weights(tiou, valid, limit, counts)
    assert expected.sum().item() == pytest.approx(total.item(), rel=1e-5)
    rng = np.random.default_rng(0)
    uniforms = torch.from_numpy(rng.random((3000, 2, *tiou.shape))).float()
    drawn = torch.stack([drawn_weights(tiou, valid, limit, *pair) for pair in uniforms]).mean(dim=0)
    torch.testing.assert_close(drawn, expected, rtol=0, atol=0.05)
    assert 0.0 < expected[valid & (tiou <= limit)].max() <= 1.0
