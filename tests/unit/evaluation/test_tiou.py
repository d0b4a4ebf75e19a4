"""tIoU: values by hand, the oracle, and the rule for 0/0."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_lists import TIMES

from reference import detection_oracle
from talaria.evaluation.tiou import tiou


def test_values_by_hand() -> None:
    found = tiou(np.array([[0.0, 2.0], [5.0, 6.0]]), np.array([[1.0, 3.0], [0.0, 2.0], [2.0, 2.0]]))
    np.testing.assert_allclose(found, [[1 / 3, 1.0, 0.0], [0.0, 0.0, 0.0]])


@given(st.lists(TIMES, max_size=5), st.lists(TIMES, max_size=5))
def test_agrees_with_the_oracle(
    proposals: list[tuple[float, float]], truths: list[tuple[float, float]]
) -> None:
    found = tiou(np.array(proposals).reshape(-1, 2), np.array(truths).reshape(-1, 2))
    assert found.shape == (len(proposals), len(truths))
    for row, proposal in enumerate(proposals):
        for column, truth in enumerate(truths):
            np.testing.assert_equal(found[row, column], detection_oracle.tiou(*proposal, *truth))


def test_two_empty_segments_at_one_point_have_the_chosen_value() -> None:
    point = np.array([[3.0, 3.0]])
    assert math.isnan(tiou(point, point)[0, 0])
    assert tiou(point, point, undefined=0.0)[0, 0] == 0.0
    assert tiou(point, np.array([[4.0, 4.0]]), undefined=1.0)[0, 0] == 1.0


@pytest.mark.parametrize("bad", [np.array([[2.0, 1.0]]), np.zeros((1, 3)), np.zeros(2)])
def test_reversed_or_misshapen_segments_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="proposals"):
        tiou(bad, np.array([[0.0, 1.0]]))
