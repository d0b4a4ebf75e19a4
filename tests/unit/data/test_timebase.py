"""Arithmetic between seconds, frames, snippets, fractions and bins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talaria.config.specs import ClipSpec
from talaria.data import timebase


def spec(num_frames: int, stride_frames: int) -> ClipSpec:
    return ClipSpec(fps=10.0, num_frames=num_frames, stride_frames=stride_frames, height=8, width=8)


def test_clip_is_centred_on_its_snippet() -> None:
    assert timebase.clip_start_idx(0, spec(16, 8)) == -4  # frames -4..11 around the snippet's 0..7
    assert timebase.clip_start_idx(3, spec(16, 8)) == 20
    assert timebase.clip_start_idx(2, spec(4, 8)) == 18  # frames 18..21 inside 16..23


def test_frames_outside_the_video_repeat_the_edge() -> None:
    frames_NL = timebase.clip_frames_idx([0, 2], spec(6, 4), 9)
    assert frames_NL.tolist() == [[0, 0, 1, 2, 3, 4], [7, 8, 8, 8, 8, 8]]


@pytest.mark.parametrize(("frames", "expected"), [(1, 1), (8, 1), (9, 2), (16, 2), (17, 3)])
def test_snippets_cover_the_video(frames: int, expected: int) -> None:
    assert timebase.num_snippets(frames, spec(16, 8)) == expected


def test_no_frame_has_no_snippets() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        timebase.num_snippets(0, spec(16, 8))


@given(st.integers(1, 40), st.integers(1, 60), st.floats(0.5, 200), st.floats(0.1, 5))
def test_resizing_is_linear_interpolation_between_centres(
    num_snippets: int, num_bins: int, duration_s: float, stride_s: float
) -> None:
    features_TC = np.random.default_rng(num_snippets).standard_normal((num_snippets, 3)).astype(np.float32)
    resized = timebase.resize_snippets(features_TC, duration_s, stride_s, num_bins)
    at_s = [(j + 0.5) * duration_s / num_bins for j in range(num_bins)]
    known_s = [(i + 0.5) * stride_s for i in range(num_snippets)]
    expected = np.stack([np.interp(at_s, known_s, features_TC[:, c]) for c in range(3)], axis=1)
    np.testing.assert_allclose(resized, expected, atol=2e-5)
    assert resized.dtype == np.float32


def test_resizing_to_the_same_grid_changes_nothing() -> None:
    features_TC = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float16)
    np.testing.assert_array_equal(
        timebase.resize_snippets(features_TC, 8.0, 0.8, 10), features_TC.astype(np.float32)
    )


def test_a_length_beyond_the_features_repeats_the_last_snippet() -> None:
    features_TC = np.array([[0.0], [10.0]], dtype=np.float32)
    assert timebase.resize_snippets(features_TC, 4.0, 1.0, 4)[:, 0].tolist() == [0.0, 10.0, 10.0, 10.0]


@pytest.mark.parametrize(("duration_s", "stride_s", "bins"), [(0.0, 1.0, 4), (1.0, -1.0, 4), (1.0, 1.0, 0)])
def test_resizing_refuses_what_has_no_length(duration_s: float, stride_s: float, bins: int) -> None:
    with pytest.raises(ValueError, match=r"expected|duration_s|stride_s"):
        timebase.resize_snippets(np.ones((3, 2)), duration_s, stride_s, bins)


@given(st.lists(st.floats(0, 1e4), min_size=1), st.floats(0.1, 1e4), st.integers(1, 500))
def test_every_conversion_has_its_inverse(times_s: list[float], duration_s: float, num_bins: int) -> None:
    frac = timebase.seconds_to_frac(times_s, duration_s)
    bins = timebase.seconds_to_bins(times_s, duration_s, num_bins)
    snippets = timebase.seconds_to_snippets(times_s, duration_s)
    np.testing.assert_allclose(timebase.frac_to_seconds(frac, duration_s), times_s, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        timebase.bins_to_seconds(bins, duration_s, num_bins), times_s, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(
        timebase.snippets_to_seconds(snippets, duration_s), times_s, rtol=1e-9, atol=1e-12
    )


def test_bins_and_snippets_divide_time() -> None:
    assert timebase.seconds_to_bins(30.0, 120.0, 8).tolist() == 2.0
    assert timebase.seconds_to_snippets([0.4, 1.2], 0.8).tolist() == pytest.approx([0.5, 1.5])
    assert timebase.snippet_centres_s(3, 0.8).tolist() == pytest.approx([0.4, 1.2, 2.0])
    assert timebase.bin_centres_s(2, 10.0).tolist() == [2.5, 7.5]
