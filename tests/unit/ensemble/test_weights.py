"""Weights by rule and by greedy selection on scores that are known."""

from __future__ import annotations

import pytest

from talaria.ensemble.weights import (
    Score,
    equal_weights,
    greedy_weights,
    mean_weights,
    performance_weights,
    without_specks,
)


def closeness(target: tuple[float, ...]) -> Score:
    """A score that is best at `target`."""
    return lambda weights: -sum((w - t) ** 2 for w, t in zip(weights, target, strict=True))


def test_weights_go_to_where_the_score_is_best() -> None:
    target = (0.6, 0.3, 0.1)
    assert greedy_weights(closeness(target), equal_weights(3), rounds=40) == pytest.approx(target, abs=0.03)


def test_a_flat_score_leaves_the_start() -> None:
    assert greedy_weights(lambda weights: 0.5, equal_weights(4), rounds=10) == equal_weights(4)
    assert greedy_weights(lambda weights: 0.5, (0.7, 0.3, 0.0), rounds=9) == pytest.approx((0.7, 0.3, 0.0))


def test_a_score_that_only_falls_leaves_the_start() -> None:
    assert greedy_weights(closeness((0.25,) * 4), equal_weights(4), rounds=3) == equal_weights(4)


def test_useless_members_lose_their_share_as_votes_are_given() -> None:
    found = greedy_weights(lambda weights: weights[0] + weights[1], equal_weights(4), rounds=36)
    assert sum(found[2:]) == pytest.approx(2 / 40)
    assert found[0] == found[1]


def test_the_weights_sum_to_one_and_never_score_below_the_start() -> None:
    score = closeness((0.9, 0.1))
    for rounds in range(6):
        found = greedy_weights(score, equal_weights(2), rounds)
        assert sum(found) == pytest.approx(1)
        assert score(found) >= score(equal_weights(2))


def test_one_member_has_all_the_weight() -> None:
    assert greedy_weights(lambda weights: 1.0, (1.0,), rounds=5) == (1.0,)
    assert performance_weights([0.3], 4.0) == (1.0,)


def test_relative_performance_is_what_weights_are_in_proportion_to() -> None:
    assert performance_weights([0.2, 0.6], 1.0) == pytest.approx((0.25, 0.75))
    assert performance_weights([0.2, 0.6], 2.0) == pytest.approx((0.1, 0.9))
    assert performance_weights([0.2, 0.6], 0.0) == equal_weights(2)
    assert performance_weights([0.0, 0.0, 0.0], 1.0) == equal_weights(3)
    assert performance_weights([0.5, 0.0], 1.0) == (1.0, 0.0)


def test_specks_are_swept_away_and_means_are_means() -> None:
    assert without_specks((0.6, 0.37, 0.03), 0.1) == pytest.approx((0.6 / 0.97, 0.37 / 0.97, 0.0))
    assert without_specks((0.5, 0.5), 0.1) == (0.5, 0.5)
    assert mean_weights([(1.0, 0.0), (0.5, 0.5)]) == pytest.approx((0.75, 0.25))
    assert without_specks(mean_weights([equal_weights(9)] * 4), 0.1) == equal_weights(9)
