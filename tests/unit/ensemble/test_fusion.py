"""Resizing keeps a value with its segment; fusing is a weighted sum; other videos and weights are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.fusion import align, fuse, fused_size
from talaria.ensemble.pool import pooled
from talaria.ensemble.resizing import resize_curve, resize_map, resize_rows
from talaria.ensemble.scoring import FusionSet
from talaria.ensemble.weights import equal_weights
from talaria.errors import ConfigError, DataError
from talaria.prediction.raw import inside
from talaria_models.bmn.decode import proposals
from unit.prediction.beliefs import believed, grid_segments, made_truth, made_videos, rng_of

VIDEO = made_videos(1)[0]
SIZES = st.integers(1, 9)


def linear_map(size: int) -> np.ndarray:
    """A map that is linear in the start and end of its segments."""
    maps = np.zeros((2, size, size), np.float32)
    start, end = grid_segments(size).T
    maps[:, inside(size)] = np.stack([0.2 + 0.3 * start + 0.4 * end, 0.9 - 0.5 * end])
    return maps


@settings(max_examples=60, deadline=None)
@given(old=SIZES, factor=st.integers(1, 5))
def test_a_finer_map_keeps_the_value_of_every_old_segment(old: int, factor: int) -> None:
    maps = rng_of(old, factor).random((2, old, old), dtype=np.float32) * inside(old)
    finer = resize_map(maps, old * factor)
    for d, t in np.argwhere(inside(old)):
        np.testing.assert_allclose(finer[:, (d + 1) * factor - 1, t * factor], maps[:, d, t], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(old=st.integers(2, 9), new=st.integers(1, 20))
def test_segments_longer_than_a_bin_are_interpolated_in_start_and_end(old: int, new: int) -> None:
    """A shorter segment has no neighbours on its own side of the diagonal."""
    resized, expected = resize_map(linear_map(old), new), linear_map(new)
    duration = np.arange(1, new + 1)[:, None] / new
    far = inside(new) & (duration >= 2 / old - 1e-9)
    np.testing.assert_allclose(resized[:, far], expected[:, far], atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(old=SIZES, new=st.integers(1, 20))
def test_resizing_stays_within_the_values_and_the_triangle(old: int, new: int) -> None:
    maps = rng_of(old, new).uniform(0.3, 0.6, (2, old, old)).astype(np.float32) * inside(old)
    resized = resize_map(maps, new)
    valid = resized[:, inside(new)]
    assert resized.shape == (2, new, new)
    assert maps[maps > 0].min() - 1e-6 <= valid.min() <= valid.max() <= maps.max() + 1e-6
    assert not resized[:, ~inside(new)].any()


@pytest.mark.parametrize("factor", [2, 3])
def test_a_finer_grid_scores_the_old_segments_as_before(factor: int) -> None:
    """What the decoder makes of a member does not depend on the grid that the other members have."""
    coarse = believed(VIDEO, size=8, noise=0.7, member="m")
    powers = {"map_classification_power": 1.0, "map_regression_power": 1.0, "boundary_power": 1.0}
    scores = []
    for size in (8, 8 * factor):
        segments, values = proposals(
            resize_curve(coarse.start_T, size),
            resize_curve(coarse.end_T, size),
            resize_map(coarse.bm_map_MDT, size),
            **powers,
            top=10_000,
        )
        scores.append(
            {tuple(np.round(segment, 6)): value for segment, value in zip(segments, values, strict=True)}
        )
    inner = {segment: value for segment, value in scores[0].items() if segment[1] < 1}
    assert len(inner) == 28
    for segment, value in inner.items():
        assert scores[1][segment] == pytest.approx(value, abs=1e-5)


def test_rows_of_logits_stay_at_their_time() -> None:
    rows = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)
    np.testing.assert_allclose(resize_rows(rows, 2)[:, 0], [0.5, 2.5])
    np.testing.assert_allclose(resize_rows(rows, 8)[:, 0], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    np.testing.assert_allclose(resize_rows(rows[:1], 3), [[0], [0], [0]])


def test_fusing_is_the_weighted_sum_of_every_array() -> None:
    a, b = believed(VIDEO, noise=0.5, member="a"), believed(VIDEO, noise=0.5, member="b")
    fused = fuse([a, b], [0.25, 0.75])
    for name in ("start_T", "end_T", "bm_map_MDT", "class_logits_RK"):
        expected = 0.25 * getattr(a, name) + 0.75 * getattr(b, name)
        np.testing.assert_allclose(getattr(fused, name), expected, rtol=1e-5, atol=1e-6)


def test_members_of_one_size_keep_their_grid_and_others_meet_on_one_twice_as_fine() -> None:
    assert fused_size([16, 16]) == 16
    assert fused_size([10, 16]) == 32
    a, b = believed(VIDEO, size=10, member="a"), believed(VIDEO, size=16, member="b", noise=0.4)
    fused = fuse([a, b], [0.0, 1.0])
    assert fused.num_snippets == 32
    own = inside(16)  # cells of the old grid are segments of the new one
    duration, begin = np.nonzero(own)
    np.testing.assert_allclose(
        fused.bm_map_MDT[:, 2 * duration + 1, 2 * begin], b.bm_map_MDT[:, own], atol=1e-6
    )
    np.testing.assert_allclose(fused.class_logits_RK, b.class_logits_RK, atol=1e-6)


def test_the_order_of_members_does_not_matter() -> None:
    a, b = believed(VIDEO, size=10, noise=0.5, member="a"), believed(VIDEO, size=16, noise=0.5, member="b")
    there, back = fuse([a, b], [0.3, 0.7]), fuse([b, a], [0.7, 0.3])
    np.testing.assert_allclose(there.bm_map_MDT, back.bm_map_MDT, atol=1e-6)


def test_fusing_members_with_errors_of_their_own_helps() -> None:
    videos, config = made_videos(9), PostprocessConfig(boundary_power=0)
    pools = [
        pooled([believed(video, size=20, noise=0.8, member=name) for name in "abcd"], 200, common=True)
        for video in videos
    ]
    data = FusionSet.of("abcd", pools, made_truth(videos))
    alone = [data.only(index).average_map((1.0,), config) for index in range(4)]
    assert data.average_map(equal_weights(4), config) > max(alone) + 0.05


@pytest.mark.parametrize("weights", [[0.5, 0.6], [1.5, -0.5], [1.0], [float("nan"), 1.0]])
def test_weights_that_are_no_shares_are_refused(weights: list[float]) -> None:
    members = align([believed(VIDEO, member="a"), believed(VIDEO, member="b")])
    with pytest.raises(ConfigError, match="weights: found"):
        members.fused(weights)


def test_predictions_of_different_videos_are_refused() -> None:
    one = believed(VIDEO)
    for field, value, message in (
        ("video_id", "other", "videos videos-00 and other"),
        ("duration_s", 61.0, "duration_s is 60 for one member and 61"),
        ("class_logits_RK", np.zeros((1, 4)), "3 columns for one member and 4"),
    ):
        with pytest.raises(DataError, match=message):
            align([one, replace(one, **{field: value})])
