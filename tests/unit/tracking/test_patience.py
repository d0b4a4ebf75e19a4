"""Waiting is bounded and grows; a server that is away is left alone for a while."""

from __future__ import annotations

import pytest

from talaria.tracking.patience import Patience, Rest


@pytest.mark.parametrize(
    ("failures", "elapsed_s", "delay_s"),
    [(1, 0.0, 0.5), (2, 0.6, 1.0), (4, 4.0, 4.0), (4, 4.1, None), (1, 20.0, None)],
)
def test_waits_double_until_the_total_is_spent(
    failures: int, elapsed_s: float, delay_s: float | None
) -> None:
    assert Patience(first_s=0.5, total_s=8.0).delay_s(failures, elapsed_s) == delay_s


def test_a_person_hears_once_that_it_went_and_once_that_it_came_back() -> None:
    now = [0.0]
    rest = Rest(Patience(rest_s=60.0), clock=lambda: now[0])
    assert not rest.resting
    assert rest.begin()
    assert rest.resting
    now[0] = 61.0
    assert not rest.resting
    assert not rest.begin()
    assert rest.end()
    assert not rest.resting
    assert not rest.end()
    assert rest.begin()
