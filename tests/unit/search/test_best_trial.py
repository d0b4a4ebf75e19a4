"""Which trial is the best: by score, by score within a cost, and what stopped and failed trials count."""

from __future__ import annotations

import pytest

from talaria.errors import StageError
from talaria.search.front import best, front, ranked
from unit.search.searches import LR, result, section

BOTH = {"objectives": ["score", "cost"]}


def test_the_better_score_comes_first_and_equal_ones_by_their_values() -> None:
    trials = [result(0, 0.2), result(1, 0.5), result(2, 0.1, 0.5), result(3, 0.9, status="failed")]
    assert [trial.name[-1] for trial in ranked(trials)] == ["1", "2", "0", "3"]
    assert best(trials, section()) == trials[1]


def test_a_stopped_trial_is_behind_those_that_it_lost_to() -> None:
    trials = [result(0, 0.3, 0.2), result(1, 0.25, status="stopped")]
    assert ranked(trials) == trials
    assert best(trials, section()) == trials[0]
    assert best(trials[1:], section()) == trials[1], "unless there is no other"


def test_the_front_holds_what_no_other_beats_in_score_and_cost() -> None:
    costs = {0: (0.5, 4.0), 1: (0.4, 2.0), 2: (0.4, 3.0), 3: (0.1, 1.0), 4: (0.05, 1.0), 5: (0.5, 5.0)}
    trials = [result(number, score, gflop=gflop) for number, (score, gflop) in costs.items()]
    assert [trial.name[-1] for trial in front(trials)] == ["0", "1", "3"]


@pytest.mark.parametrize(("limit", "number"), [(None, 0), (4.0, 0), (3.9, 1), (1.0, 2)])
def test_the_best_of_the_front_costs_no_more_than_allowed(limit: float | None, number: int) -> None:
    trials = [result(i, score, gflop=g) for i, (score, g) in enumerate([(0.5, 4.0), (0.4, 2.0), (0.1, 1.0)])]
    assert best(trials, section(**BOTH, max_gflop=limit)) == trials[number]


def test_a_limit_that_no_trial_keeps_is_an_error_that_names_the_cheapest() -> None:
    with pytest.raises(
        StageError, match=r"max_gflop: found 0\.5, but the cheapest of 1 trials costs 2 GFLOP"
    ):
        best([result(0, 0.3, gflop=2.0)], section(**BOTH, max_gflop=0.5))


def test_without_a_score_the_reasons_are_told_once() -> None:
    trials = [result(i, status="failed", gflop=None, reason="out of memory") for i in range(3)]
    with pytest.raises(StageError, match="none of 3 trials finished: out of memory"):
        best(trials, section())
    assert trials[0].values[LR] == 0.001
