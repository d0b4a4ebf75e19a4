"""The Batch Nuclear-norm term: its values, its gradient at corners, and the same steps for any workers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from talaria.config.nodes import ClassifierNode
from talaria.training.batches import BatchPlan
from talaria_models.backbones.criterion import ClipCriterion
from talaria_models.base import ClipOutput
from talaria_models.classifier.config import ClassifierConfig
from talaria_models.classifier.criterion import ClassifierCriterion
from talaria_models.classifier.model import ClassifierOutput
from talaria_models.layers.nuclear_norm import batch_nuclear_norm

Labelled = tuple[torch.Tensor, torch.Tensor]


def batch(size: int, num_classes: int = 4) -> Labelled:
    """Logits that need a gradient, and one-hot targets."""
    rng = torch.Generator().manual_seed(size)
    classes = torch.eye(num_classes)[torch.randint(num_classes, (size,), generator=rng)]
    return torch.randn(size, num_classes, generator=rng).requires_grad_(), classes


@pytest.mark.parametrize("shape", [(1, 3), (2, 5), (5, 5), (40, 3)])
def test_the_norm_is_that_of_the_probabilities(shape: tuple[int, int]) -> None:
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    share = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    norm = batch_nuclear_norm(logits).item()
    assert norm == pytest.approx(np.linalg.norm(share, "nuc"), rel=1e-9)
    assert math.sqrt(shape[0] / shape[1]) <= norm <= math.sqrt(shape[0] * min(shape))


def test_its_least_is_uniform_scores_and_its_most_certain_ones_of_every_class() -> None:
    assert batch_nuclear_norm(torch.zeros(6, 3)).item() == pytest.approx(math.sqrt(2), rel=1e-6)
    spread = 100 * torch.eye(3).repeat(2, 1)
    assert batch_nuclear_norm(spread).item() == pytest.approx(math.sqrt(18), rel=1e-6)
    one_class = 100 * torch.eye(3)[:1].repeat(6, 1)
    assert batch_nuclear_norm(one_class).item() == pytest.approx(math.sqrt(6), rel=1e-6)
    assert batch_nuclear_norm(torch.zeros(0, 3)).item() == 0.0


def test_the_gradient_is_that_of_the_norm() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert torch.autograd.gradcheck(batch_nuclear_norm, (logits.requires_grad_(),))


@pytest.mark.parametrize("rows", [torch.zeros(4, 3), torch.tensor([[1.0, 0, 2]]).repeat(4, 1), torch.eye(3)])
def test_at_a_corner_the_gradient_is_finite_and_treats_equal_samples_alike(rows: torch.Tensor) -> None:
    logits = rows.clone().requires_grad_()
    batch_nuclear_norm(logits).backward()
    assert logits.grad.isfinite().all()
    if rows.unique(dim=0).shape[0] == 1:
        torch.testing.assert_close(logits.grad, logits.grad[:1].expand_as(rows), rtol=0, atol=1e-6)


def test_a_logit_that_is_no_number_gives_no_number() -> None:
    assert batch_nuclear_norm(torch.tensor([[0.0, math.nan], [1.0, 2.0]])).isnan()


def test_loss_by_hand_and_its_parts() -> None:
    logits, classes = torch.tensor([[100.0, 0], [0, 100.0], [0, 0]]), torch.tensor([[1.0, 0], [0, 1], [0, 0]])
    criterion, targets = ClassifierCriterion(bnm_weight=0.5), {"classes": classes}
    losses = criterion(ClassifierOutput(logits), targets, criterion.counts(targets))
    assert set(losses) == set(criterion.loss_names)
    assert losses["bnm"].item() == pytest.approx(-1.0)  # the unlabelled third video takes no part
    assert losses["total"].item() == pytest.approx(-0.5, abs=1e-6)


def test_no_labels_give_a_finite_loss_and_gradient() -> None:
    criterion, targets = ClassifierCriterion(bnm_weight=1.0), {"classes": torch.zeros(2, 3)}
    logits = torch.randn(2, 3, requires_grad=True)
    loss = criterion(ClassifierOutput(logits), targets, criterion.counts(targets))["total"]
    loss.backward()
    assert loss.item() == 0.0
    assert not logits.grad.any()


def step_of(plan: BatchPlan, world_size: int, criterion: Any, data: Labelled) -> tuple[float, torch.Tensor]:
    """Loss and gradient of the first step, summed over workers as the trainer does."""
    logits, classes = data
    cuts = [list(one.samples) for rank in range(world_size) for one in plan.epoch(0, rank, world_size)[0]]
    counts = sum(criterion.counts({"classes": classes[cut]}) for cut in cuts)
    parts = [criterion(ClassifierOutput(logits[cut]), {"classes": classes[cut]}, counts) for cut in cuts]
    total = sum(part["total"] for part in parts)
    return total.item(), torch.autograd.grad(total, logits)[0]


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_one_worker_and_many_take_the_same_step(world_size: int) -> None:
    criterion, data = ClassifierCriterion(bnm_weight=0.7), batch(11)
    plan = BatchPlan(num_samples=11, batch_size=11, micro_batch_size=4, seed=3)
    alone, together = step_of(plan, 1, criterion, data), step_of(plan, world_size, criterion, data)
    assert together[0] == pytest.approx(alone[0], rel=1e-6)
    torch.testing.assert_close(together[1], alone[1], rtol=0, atol=1e-7)


def test_the_term_is_the_mean_over_micro_batches_by_their_share_of_the_samples() -> None:
    criterion, (logits, classes) = ClassifierCriterion(bnm_weight=1.0), batch(7)
    cuts, counts = (slice(0, 4), slice(4, 7)), torch.tensor([7.0])
    parts = [
        criterion(ClassifierOutput(logits[cut]), {"classes": classes[cut]}, counts)["bnm"] for cut in cuts
    ]
    means = [-batch_nuclear_norm(logits[cut]) / len(logits[cut]) for cut in cuts]
    assert sum(parts).item() == pytest.approx((4 * means[0] + 3 * means[1]).item() / 7, rel=1e-6)


def test_the_term_makes_scores_decided_and_diverse() -> None:
    logits = 0.1 * torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        (-batch_nuclear_norm(logits) / 12).backward()
        optimiser.step()
    share = torch.softmax(logits, dim=1)
    assert share.amax(dim=1).min() > 0.9
    assert share.argmax(dim=1).unique().numel() == 4


def test_clips_take_the_term_too_and_go_without_it_by_default() -> None:
    logits, classes = batch(6)
    targets, output = {"label": classes.argmax(dim=1)}, ClipOutput(torch.zeros(6, 1), logits)
    plain, bent = ClipCriterion(), ClipCriterion(bnm_weight=0.25)
    counts = plain.counts(targets)
    losses = bent(output, targets, counts)
    assert set(losses) == set(bent.loss_names)
    assert set(plain(output, targets, counts)) == set(plain.loss_names) == {"total", "classification"}
    want = plain(output, targets, counts)["total"] - 0.25 * batch_nuclear_norm(logits) / 6
    torch.testing.assert_close(losses["total"], want)
    with pytest.raises(ValueError, match="bnm_weight"):
        ClipCriterion(bnm_weight=-1.0)


def test_a_recipe_sets_the_weight() -> None:
    assert ClassifierNode.model_validate({"model": {"bnm_weight": 0.5}}).model == ClassifierConfig(
        bnm_weight=0.5
    )
    for weight in (-0.1, math.inf):
        with pytest.raises(ValueError, match="bnm_weight"):
            ClassifierConfig(bnm_weight=weight)
