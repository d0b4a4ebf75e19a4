"""The log-loss of weighted logits and its minimum, against slow obvious versions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from talaria.ensemble.log_loss import WeightProblem, video_losses
from unit.ensemble.classifier_beliefs import noisy_set, softmax


def problem(noises: list[float], num_videos: int, seed: int = 0) -> WeightProblem:
    data = noisy_set(noises, num_videos, num_classes=4, seed=seed)
    return WeightProblem(data.logits_MVK, data.targets)


def mean_loss(one: WeightProblem, weights: NDArray[np.floating]) -> float:
    share_VK = softmax(np.tensordot(weights, one.logits_MVK, axes=1))
    return float(-(one.target_VK * np.log(share_VK)).sum(axis=1).mean())


def pulled_loss(one: WeightProblem, weights: NDArray[np.floating], strength: float) -> float:
    """The objective from its definition: the loss, and two pulls in units of videos with even scores."""
    num_models, num_videos = len(weights), len(one.target_VK)
    spread = np.array([[row.var() for row in model] for model in one.logits_MVK]).mean(axis=1)
    sum_along = (spread * weights).sum() / spread.sum() * num_models
    along, across = (sum_along - 1) / num_models, weights - sum_along / num_models
    pull = 0.1 * (spread * along**2).sum() + strength * (spread * across**2).sum()
    return mean_loss(one, weights) + 0.5 * num_models / num_videos * pull


def test_losses_by_hand() -> None:
    logits = np.log([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]])
    target = np.array([[1.0, 0, 0], [0, 0.5, 0.5], [0, 0, 0]])
    want = [math.log(2), -0.5 * math.log(0.2) - 0.5 * math.log(0.6), 0.0]
    np.testing.assert_allclose(video_losses(logits + 700.0, target), want, atol=1e-9)


def test_certain_scores_stay_finite() -> None:
    losses = video_losses(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([[1.0, 0], [1, 0]]))
    np.testing.assert_allclose(losses, [0.0, 1e4])


@pytest.mark.parametrize("strength", [0.3, 10.0])
def test_two_weights_are_those_of_a_grid(strength: float) -> None:
    one = problem([1.0, 2.0], 12)
    grid = np.linspace(0, 3, 41)
    tried = [(pulled_loss(one, np.array([a, b]), strength), a, b) for a in grid for b in grid]
    np.testing.assert_allclose(one.minimum(strength), min(tried)[1:], atol=0.076)


@pytest.mark.parametrize("strength", [0.3, 3.0, 1000.0])
@pytest.mark.parametrize("noises", [[0.5], [1.0, 1.0, 3.0], [1.0, 2.0, math.inf, math.inf, 0.7]])
def test_no_step_from_the_minimum_leads_down(noises: list[float], strength: float) -> None:
    one = problem(noises, 20)
    found = one.minimum(strength)
    least, rng = pulled_loss(one, found, strength), np.random.default_rng(0)
    for size in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(40):
            other = np.maximum(found + size * rng.normal(size=len(noises)), 0.0)
            assert pulled_loss(one, other, strength) >= least - 1e-10


def test_where_the_search_begins_does_not_matter() -> None:
    one = problem([1.0, 2.0, 4.0], 40)
    elsewhere = one.minimum(1.0, np.array([3.0, 0.0, 2.0]))
    np.testing.assert_allclose(elsewhere, one.minimum(1.0), atol=1e-4)


def test_a_strong_pull_leaves_equal_shares_whose_sum_still_fits() -> None:
    one = problem([1.0, 2.0], 200)
    weights = one.minimum(1e7)
    assert weights[0] == pytest.approx(weights[1], rel=1e-3)
    sums = np.linspace(0.5, 4, 351)
    best = min(sums, key=lambda total: mean_loss(one, np.full(2, total / 2)))
    assert weights.sum() == pytest.approx(best, abs=0.05)


def test_videos_that_are_all_told_right_do_not_let_the_sum_grow_without_end() -> None:
    one = WeightProblem(np.array([[[2.0, -2.0], [-2.0, 2.0]]]), np.eye(2))
    assert 1.0 < one.minimum(1.0)[0] < 5.0
