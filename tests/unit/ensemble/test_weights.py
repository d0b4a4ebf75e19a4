"""Greedy selection on scores that are known."""

from __future__ import annotations

import pytest

from talaria.ensemble.weights import Score, equal_weights, greedy_weights


def closeness(target: tuple[float, ...]) -> Score:
    """A score that is best at `target`."""
    return lambda weights: -sum((w - t) ** 2 for w, t in zip(weights, target, strict=True))


def test_weights_go_to_where_the_score_is_best() -> None:
    target = (0.6, 0.3, 0.1)
    found = greedy_weights(closeness(target), 3, rounds=40)
    assert found.weights == pytest.approx(target, abs=0.03)
    assert found.score == max(found.path)


def test_a_flat_score_leaves_equal_weights() -> None:
    assert greedy_weights(lambda weights: 0.5, 4, rounds=10).weights == equal_weights(4)


def test_a_score_that_only_falls_leaves_equal_weights() -> None:
    found = greedy_weights(closeness((0.25,) * 4), 4, rounds=3)
    assert found.weights == equal_weights(4)
    assert found.path[0] == found.score == 0


def test_useless_members_lose_their_share_as_votes_are_given() -> None:
    found = greedy_weights(lambda weights: weights[0] + weights[1], 4, rounds=36)
    assert sum(found.weights[2:]) == pytest.approx(2 / 40)
    assert found.weights[0] == found.weights[1]


def test_the_weights_sum_to_one_and_never_score_below_equal_ones() -> None:
    score = closeness((0.9, 0.1))
    for rounds in range(6):
        found = greedy_weights(score, 2, rounds)
        assert sum(found.weights) == pytest.approx(1)
        assert found.score >= score(equal_weights(2))
        assert len(found.path) == rounds + 1


def test_one_member_has_all_the_weight() -> None:
    assert greedy_weights(lambda weights: 1.0, 1, rounds=5).weights == (1.0,)
