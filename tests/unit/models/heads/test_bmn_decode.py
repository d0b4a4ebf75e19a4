"""Proposals from BMN's maps: decoding the targets returns the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from talaria_models.bmn.config import BMNConfig
from talaria_models.bmn.decode import probabilities, proposals
from talaria_models.bmn.model import BMNOutput
from talaria_models.bmn.targets import build_targets

SIZE = 20
PRODUCT: dict[str, Any] = {
    "map_classification_power": 1.0,
    "map_regression_power": 1.0,
    "boundary_power": 1.0,
}


def decoded_targets(
    truths: np.ndarray, convention: Any = "jjboy", **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    targets = build_targets(truths, BMNConfig(num_snippets=SIZE, convention=convention))
    iou = targets["iou"].numpy()
    return proposals(
        targets["start"].numpy(), targets["end"].numpy(), np.stack([iou, iou]), **{**PRODUCT, **options}
    )


def random_maps(seed: int, size: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(size), rng.random(size), rng.random((2, size, size))


@st.composite
def grid_truths(draw: st.DrawFn) -> np.ndarray:
    """One to four distinct segments on the grid."""
    cells = draw(st.sets(st.tuples(st.integers(0, SIZE - 1), st.integers(1, SIZE)), min_size=1, max_size=4))
    rows = sorted((start, min(SIZE, start + length)) for start, length in cells)
    return np.array(sorted(set(rows))) / SIZE


@settings(max_examples=60, deadline=None)
@given(grid_truths(), st.sampled_from(["jjboy", "mmaction2"]), st.booleans(), st.sampled_from([0.0, 1.0]))
def test_decoding_the_targets_returns_the_truth(
    truths: np.ndarray, convention: str, peaks: bool, boundary_power: float
) -> None:
    segments, scores = decoded_targets(
        truths, convention, top=len(truths), peaks=peaks, boundary_power=boundary_power
    )
    np.testing.assert_allclose(sorted(segments.tolist()), truths, atol=1e-12)
    np.testing.assert_allclose(scores, 1.0, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.0, 0.8), st.floats(0.1, 1.0))
def test_a_truth_off_the_grid_is_met_within_one_snippet(start: float, length: float) -> None:
    truth = np.array([[start, min(1.0, start + length)]])
    segments, _ = decoded_targets(truth, top=1)
    assert np.abs(segments - truth).max() <= 1.0 / SIZE


def test_no_annotations_score_nothing() -> None:
    _, scores = decoded_targets(np.zeros((0, 2)), top=5)
    assert scores.tolist() == [0.0] * 5


def test_scores_are_the_product_of_their_powers() -> None:
    start, end, maps = random_maps(0)
    segments, scores = proposals(
        start, end, maps, map_classification_power=0.5, map_regression_power=2.0, boundary_power=0.3, top=500
    )
    assert len(segments) == 12 * 13 // 2
    assert np.all(np.diff(scores) <= 0)
    for (first, last), score in zip(np.rint(segments * 12).astype(int), scores, strict=True):
        duration, finish = last - first - 1, min(last, 11)
        want = (
            maps[1, duration, first] ** 0.5
            * maps[0, duration, first] ** 2
            * (start[first] * end[finish]) ** 0.3
        )
        assert score == pytest.approx(want)


def test_without_boundary_power_the_map_decides_alone() -> None:
    start, end, maps = random_maps(1)
    powers = {**PRODUCT, "boundary_power": 0.0}
    with_zeros = proposals(start * 0, end * 0, maps, **powers, top=20)
    as_given = proposals(start, end, maps, **powers, top=20)
    np.testing.assert_array_equal(with_zeros[0], as_given[0])
    np.testing.assert_array_equal(with_zeros[1], as_given[1])


def test_equal_scores_keep_the_order_of_duration_then_start() -> None:
    ones = np.ones(4)
    segments, _ = proposals(ones, ones, np.ones((2, 4, 4)), **PRODUCT, top=6)
    want = [[0, 1], [1, 2], [2, 3], [3, 4], [0, 2], [1, 3]]
    np.testing.assert_array_equal(segments * 4, want)


def test_peaks_keep_only_segments_between_peaks() -> None:
    start = np.array([0.1, 0.2, 0.9, 0.2, 0.3, 0.2, 0.1, 0.05])
    end = np.array([0.1, 0.0, 0.1, 0.2, 0.1, 0.8, 0.1, 0.05])
    segments, _ = proposals(start, end, np.full((2, 8, 8), 0.5), **PRODUCT, top=100, peaks=True)
    found = {(int(first), int(last)) for first, last in np.rint(segments * 8)}
    starts, ends = {0, 2, 4}, {3, 5, 7, 8}
    assert found == {(first, last) for first in starts for last in ends if first < last}


def test_maps_of_different_sizes_are_refused() -> None:
    start, end, maps = random_maps(2)
    with pytest.raises(ValueError, match="maps disagree"):
        proposals(start[:-1], end, maps, **PRODUCT, top=5)


def test_float16_maps_score_like_float64() -> None:
    start, end, maps = (array.astype(np.float16) for array in random_maps(3))
    exact = proposals(start.astype(float), end.astype(float), maps.astype(float), **PRODUCT, top=30)
    stored = proposals(start, end, maps, **PRODUCT, top=30)
    np.testing.assert_array_equal(stored[0], exact[0])
    np.testing.assert_array_equal(stored[1], exact[1])


def test_cells_outside_the_video_have_no_probability() -> None:
    raw = probabilities(BMNOutput(torch.zeros(1, 4), torch.zeros(1, 4), torch.zeros(1, 2, 4, 4)))
    want = torch.tensor([[0.5] * 4, [0.5] * 3 + [0], [0.5] * 2 + [0] * 2, [0.5] + [0] * 3])
    assert torch.equal(raw.bm_map_BMDT[0, 0], want)
    assert raw.start_BT.tolist() == [[0.5] * 4]
