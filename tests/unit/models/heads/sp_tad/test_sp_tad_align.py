"""Segments of interest: the level rule of equation 1 and the alignment, each against its slow reading."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from talaria_models.sp_tad.soi_align import expanded, flattened, level_of, soi_align


def slow_level(length: float, num_levels: int) -> int:
    """Equation 1 by its words: the floor of l0 + log2(t / T), within the levels."""
    highest = num_levels - 1
    level = math.floor(highest + math.log2(length)) if length > 0.0 else 0
    return min(max(level, 0), highest)


def slow_places(
    size: int, segment: tuple[float, float], expansion: float, bins: int, per_bin: int
) -> list[list[float]]:
    """Where the points of each bin lie, in places of the level."""
    length = segment[1] - segment[0]
    begin, span = segment[0] - length / expansion, length * (1 + 2 / expansion)
    return [
        [(begin + span * (index + (step + 0.5) / per_bin) / bins) * size - 0.5 for step in range(per_bin)]
        for index in range(bins)
    ]


def slow_align(
    levels_CT: list[Tensor], segment: tuple[float, float], expansion: float, bins: int, per_bin: int
) -> Tensor:
    """One segment, point by point; (N, C)."""
    features = levels_CT[slow_level(segment[1] - segment[0], len(levels_CT))].T
    size = len(features)
    rows = []
    for places in slow_places(size, segment, expansion, bins, per_bin):
        for place in places:  # at a border of what counts, rounding decides
            assume(min(abs(place + 1.0), abs(place - size)) > 1e-9)
        points = []
        for place in places:
            if not -1.0 <= place <= size:
                points.append(torch.zeros_like(features[0]))
                continue
            place = min(max(place, 0.0), size - 1.0)
            left = min(math.floor(place), size - 1)
            right = min(left + 1, size - 1)
            points.append(features[left] * (left + 1 - place) + features[right] * (place - left))
        rows.append(torch.stack(points).mean(dim=0))
    return torch.stack(rows)


def pyramid_of(size: int, num_levels: int, batch: int = 1, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, 3, size * 2 ** (num_levels - 1 - level), dtype=torch.float64, generator=generator)
        for level in range(num_levels)
    ]


@given(lengths=st.lists(st.floats(0.0, 4.0), min_size=1, max_size=20), num_levels=st.integers(3, 6))
@settings(max_examples=100, deadline=None)
def test_levels_follow_equation_1(lengths: list[float], num_levels: int) -> None:
    found = level_of(torch.tensor(lengths, dtype=torch.float64), num_levels)
    assert found.tolist() == [slow_level(length, num_levels) for length in lengths]


def test_levels_of_a_window_halve_with_the_length() -> None:
    lengths = torch.tensor([3.0, 1.0, 0.999, 0.5, 0.25, 0.2, 0.125, 0.1, 0.0])
    assert level_of(lengths, 4).tolist() == [3, 3, 2, 2, 1, 0, 0, 0, 0]


@given(
    size=st.integers(1, 5),
    ends=st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)), min_size=1, max_size=8),
    bins=st.integers(1, 5),
    per_bin=st.integers(1, 3),
    expansion=st.sampled_from([1.0, 5.0, 100.0]),
)
@settings(max_examples=60, deadline=None)
def test_alignment_agrees_with_a_loop(
    size: int, ends: list[tuple[float, float]], bins: int, per_bin: int, expansion: float
) -> None:
    levels = pyramid_of(size, 4, seed=size)
    segments = [(min(pair), max(pair)) for pair in ends]
    found = soi_align(
        flattened(levels),
        torch.tensor([segments], dtype=torch.float64),
        expansion=expansion,
        num_bins=bins,
        num_samples_per_bin=per_bin,
    )
    single = [level[0] for level in levels]
    want = [slow_align(single, segment, expansion, bins, per_bin) for segment in segments]
    torch.testing.assert_close(found[0], torch.stack(want))


def test_windows_of_a_batch_read_their_own_features() -> None:
    levels = pyramid_of(4, 4, batch=3)
    segments = torch.rand(3, 6, 2, dtype=torch.float64).sort(dim=-1).values
    sizes = {"expansion": 5.0, "num_bins": 3, "num_samples_per_bin": 2}
    together = soi_align(flattened(levels), segments, **sizes)
    for row in range(3):
        alone = soi_align(
            flattened([level[row : row + 1] for level in levels]), segments[row : row + 1], **sizes
        )
        torch.testing.assert_close(together[row], alone[0])


def test_the_expansion_adds_a_fifth_on_either_side() -> None:
    found = expanded(torch.tensor([[0.2, 0.7], [0.5, 0.5]]), 5.0)
    torch.testing.assert_close(found, torch.tensor([[0.1, 0.8], [0.5, 0.5]]))


@pytest.mark.parametrize("shift", [1, 3])
def test_later_features_and_later_segments_give_the_same(shift: int) -> None:
    levels = pyramid_of(16, 4)
    moved = [torch.roll(level, shift * level.shape[2] // 16, dims=2) for level in levels]
    segments = torch.tensor([[[0.3, 0.34], [0.25, 0.5], [0.3, 0.65]]], dtype=torch.float64)
    sizes = {"expansion": 5.0, "num_bins": 4, "num_samples_per_bin": 2}
    torch.testing.assert_close(
        soi_align(flattened(levels), segments, **sizes),
        soi_align(flattened(moved), segments + shift / 16, **sizes),
    )


def test_gradients_are_those_of_the_weighted_sum() -> None:
    levels = [level.requires_grad_() for level in pyramid_of(2, 3)]
    segments = torch.tensor([[[0.1, 0.2], [0.3, 0.9], [-0.2, 1.1]]], dtype=torch.float64)

    def pooled(*parts: Tensor) -> Tensor:
        return soi_align(flattened(parts), segments, expansion=5.0, num_bins=2, num_samples_per_bin=2)

    assert torch.autograd.gradcheck(pooled, levels)


def test_half_precision_features_keep_exact_places() -> None:
    levels = [torch.arange(size).remainder(7).view(1, 1, -1) for size in (4096, 2048, 1024, 512)]
    segments = torch.tensor([[[0.7001, 0.7003], [0.95, 0.951]]])
    sizes = {"expansion": 5.0, "num_bins": 2, "num_samples_per_bin": 2}
    half = soi_align(flattened([level.bfloat16() for level in levels]), segments, **sizes)
    assert half.dtype == torch.bfloat16
    whole = soi_align(flattened([level.float() for level in levels]), segments, **sizes)
    torch.testing.assert_close(half.float(), whole, rtol=0.01, atol=0.02)
