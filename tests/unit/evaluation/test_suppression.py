"""NMS and Soft-NMS: against the oracle on random, tied and degenerate lists, in both forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_lists import TIMES

from reference import suppression_oracle as oracle
from talaria.config.postprocess import PostprocessConfig
from talaria.evaluation.suppression import Kept, hard_nms, linear_nms, soft_nms

CANDIDATES = st.lists(st.tuples(TIMES, st.sampled_from([0.0, 0.3, 0.5, 0.9])), max_size=12)
DURATION = 5.0
WINNER = PostprocessConfig()
"""The settings of the 2021 winner are the recipe's defaults."""

RULES: dict[str, tuple[Callable[..., Kept], dict[str, Any], Any]] = {
    "challenge": (
        soft_nms,
        {"low": WINNER.low, "high": WINNER.high, "alpha": WINNER.alpha, "duration": DURATION},
        oracle.soft_factor(0.25, 0.9, 0.4, duration=DURATION),
    ),
    "other limits": (
        soft_nms,
        {"low": 0.2, "high": 0.7, "alpha": 0.4, "duration": DURATION},
        oracle.soft_factor(0.2, 0.7, 0.4, duration=DURATION),
    ),
    "falling limit": (
        soft_nms,
        {"low": 0.9, "high": 0.1, "alpha": 0.4, "duration": DURATION},
        oracle.soft_factor(0.9, 0.1, 0.4, duration=DURATION),
    ),
    "gaussian": (soft_nms, {"low": 0.0, "high": 0.0, "alpha": 0.5}, oracle.soft_factor(0.0, 0.0, 0.5)),
    "power": (
        soft_nms,
        {"low": 0.5, "high": 0.9, "alpha": 0.4, "power": 2.5},
        oracle.soft_factor(0.5, 0.9, 0.4, power=2.5),
    ),
    "linear": (linear_nms, {"threshold": 0.5}, oracle.linear_factor(0.5)),
    "hard": (hard_nms, {"threshold": 0.5}, oracle.hard_factor(0.5)),
}


def segments_of(candidates: list[tuple[tuple[float, float], float]]) -> np.ndarray:
    return np.array([times for times, _ in candidates], np.float64).reshape(-1, 2)


def scores_of(candidates: list[tuple[tuple[float, float], float]]) -> np.ndarray:
    return np.array([score for _, score in candidates], np.float64)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=60, deadline=None)
@given(
    lists=st.lists(CANDIDATES, max_size=4), top=st.sampled_from([1, 3, 50]), floor=st.sampled_from([0.0, 0.2])
)
def test_flat_lists_agree_with_the_oracle(rule: str, lists: list[Any], top: int, floor: float) -> None:
    function, options, factor = RULES[rule]
    flat = [candidate for candidates in lists for candidate in candidates]
    groups = np.repeat(np.arange(len(lists))[::-1] * 10, [len(candidates) for candidates in lists])
    kept = function(segments_of(flat), scores_of(flat), groups, top=top, min_score=floor, **options)
    want: list[tuple[int, int, float]] = []
    for number in reversed(range(len(lists))):
        first = sum(len(candidates) for candidates in lists[:number])
        mine = lists[number]
        chosen = oracle.greedy([times for times, _ in mine], [score for _, score in mine], factor, top, floor)
        want += [((len(lists) - 1 - number) * 10, first + index, score) for index, score in chosen]
    assert kept.group_idx.tolist() == [row[0] for row in want]
    assert kept.index.tolist() == [row[1] for row in want]
    np.testing.assert_allclose(kept.score, [row[2] for row in want], rtol=1e-12)


def test_the_winners_settings_are_the_default() -> None:
    assert (WINNER.low, WINNER.high, WINNER.alpha) == (0.25, 0.9, 0.4)


@pytest.mark.parametrize("rule", RULES)
def test_long_lists_agree_with_the_oracle(rule: str) -> None:
    function, options, factor = RULES[rule]
    rng = np.random.default_rng(11)
    segments = np.sort(rng.random((150, 2)) * DURATION, axis=1)
    segments[::9, 1] = segments[::9, 0]
    segments[1::7] = segments[0]
    for scores in (rng.random(150), rng.integers(0, 4, 150) / 4):
        kept = function(segments, scores, top=None, **options)
        want = oracle.greedy(segments.tolist(), scores.tolist(), factor, 150)
        assert kept.index.tolist() == [index for index, _ in want]
        np.testing.assert_allclose(kept.score, [score for _, score in want], rtol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_padded_lists_give_what_each_gives_alone(rule: str) -> None:
    function, options, _ = RULES[rule]
    rng = np.random.default_rng(7)
    segments = np.sort(rng.random((40, 50, 2)) * DURATION, axis=2)
    scores = rng.random((40, 50))
    lengths = rng.integers(0, 51, 40)
    scores[np.arange(50) >= lengths[:, None]] = -np.inf
    segments[scores == -np.inf] = np.nan
    kept = function(segments, scores, top=20, **options)
    for row in range(40):
        alone = function(segments[row, : lengths[row]], scores[row, : lengths[row]], top=20, **options)
        mine = kept.group_idx == row
        np.testing.assert_array_equal(kept.index[mine], row * 50 + alone.index)
        np.testing.assert_array_equal(kept.score[mine], alone.score)


def test_durations_of_each_video_set_the_width() -> None:
    fractions = np.sort(np.random.default_rng(8).random((3, 30, 2)), axis=2)
    scores = np.random.default_rng(9).random((3, 30))
    durations = np.array([10.0, 60.0, 300.0])
    options: dict[str, Any] = {"low": 0.3, "high": 0.9, "alpha": 0.4, "top": 30}
    want = soft_nms(fractions, scores, **options)
    padded = soft_nms(fractions * durations[:, None, None], scores, duration=durations, **options)
    flat = soft_nms(
        (fractions * durations[:, None, None]).reshape(-1, 2),
        scores.ravel(),
        np.repeat(np.arange(3), 30),
        duration=np.repeat(durations, 30),
        **options,
    )
    for found in (padded, flat):
        np.testing.assert_array_equal(found.index, want.index)
        np.testing.assert_allclose(found.score, want.score, rtol=1e-9)
    unscaled = soft_nms(fractions * durations[:, None, None], scores, **options)
    assert not np.array_equal(unscaled.index, want.index)


def test_class_wise_groups_do_not_touch_each_other() -> None:
    segments = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    kept = hard_nms(segments, np.array([0.9, 0.8, 0.7]), np.array([0, 1, 0]), threshold=0.5)
    assert kept.index.tolist() == [0, 1]


def test_inputs_are_left_as_they_were() -> None:
    segments = np.sort(np.random.default_rng(1).random((2, 5, 2)), axis=2)
    scores = np.random.default_rng(2).random((2, 5))
    copies = segments.copy(), scores.copy()
    soft_nms(segments, scores, low=0.0, high=0.0, alpha=0.3)
    np.testing.assert_array_equal(segments, copies[0])
    np.testing.assert_array_equal(scores, copies[1])


def test_no_candidates_keep_nothing() -> None:
    for segments, scores in ((np.zeros((0, 2)), np.zeros(0)), (np.zeros((3, 0, 2)), np.zeros((3, 0)))):
        assert soft_nms(segments, scores, low=0.5, high=0.9, alpha=0.4).index.size == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": np.array([0.5, np.nan])}, "scores hold"),
        ({"scores": np.array([0.5, -0.1])}, "scores hold"),
        ({"scores": np.array([0.5])}, "expected"),
        ({"segments": np.array([[0.0, 1.0], [2.0, 1.0]])}, "segments hold"),
        ({"group_idx": np.array([1])}, "group_idx"),
        ({"low": 1.2}, "low is 1.2"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"top": 0}, "top is 0"),
        ({"duration": 0.0}, "duration"),
    ],
)
def test_bad_input_is_refused(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "segments": np.array([[0.0, 1.0], [0.5, 2.0]]),
        "scores": np.array([0.5, 0.6]),
        "low": 0.5,
        "high": 0.9,
        "alpha": 0.4,
    }
    soft_nms(**good)
    with pytest.raises(ValueError, match=message):
        soft_nms(**(good | changes))
