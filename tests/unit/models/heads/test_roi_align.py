"""RoI Align along time: against a slow reading of its definition, at the edges, with padding."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from talaria_models.refine_network.roi_align import roi_align


def slow_roi_align(
    features_TC: Tensor, segment: tuple[float, float], bins: int, per_bin: int, context: float
) -> Tensor:
    """One segment, point by point, as the definition reads; (N, C)."""
    size = len(features_TC)
    start, end = segment[0] * size, segment[1] * size
    begin, span = start - context * (end - start), (end - start) * (1 + 2 * context)
    rows = []
    for index in range(bins):
        points = []
        for step in range(per_bin):
            place = begin + span * (index + (step + 0.5) / per_bin) / bins - 0.5
            if not -1.0 <= place <= size:
                points.append(torch.zeros_like(features_TC[0]))
                continue
            place = min(max(place, 0.0), size - 1.0)
            left = min(math.floor(place), size - 1)
            right = min(left + 1, size - 1)
            points.append(features_TC[left] * (left + 1 - place) + features_TC[right] * (place - left))
        rows.append(torch.stack(points).mean(dim=0))
    return torch.stack(rows)


@given(
    size=st.integers(1, 30),
    ends=st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)), min_size=1, max_size=6),
    bins=st.integers(1, 5),
    per_bin=st.integers(1, 3),
    context=st.sampled_from([0.0, 0.5, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_agrees_with_its_definition(
    size: int, ends: list[tuple[float, float]], bins: int, per_bin: int, context: float
) -> None:
    features = torch.randn(1, size, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(size))
    segments = [(min(pair), max(pair)) for pair in ends]
    found = roi_align(
        features,
        torch.tensor([size]),
        torch.tensor([segments], dtype=torch.float64),
        num_bins=bins,
        num_samples_per_bin=per_bin,
        context_ratio=context,
    )
    want = torch.stack([slow_roi_align(features[0], segment, bins, per_bin, context) for segment in segments])
    torch.testing.assert_close(found[0], want)


def pooled(features: Tensor, lengths: list[int], segments: list[list[list[float]]]) -> Tensor:
    return roi_align(
        features,
        torch.tensor(lengths),
        torch.tensor(segments, dtype=torch.promote_types(features.dtype, torch.float32)),
        num_bins=2,
        num_samples_per_bin=2,
        context_ratio=0.0,
    )


def test_a_segment_of_whole_snippets_pools_a_ramp_at_its_middles() -> None:
    ramp = torch.arange(8.0).view(1, 8, 1)  # snippet t holds t and stands at t + 0.5
    found = pooled(ramp, [8], [[[0.25, 0.75], [0.5, 0.5]]])
    assert found[0, :, :, 0].tolist() == [[2.5, 4.5], [3.5, 3.5]]


def test_each_video_is_read_in_its_own_length_and_never_beyond() -> None:
    features = torch.randn(2, 8, 3)
    features[1, 5:] = float("nan")
    both = pooled(features, [8, 5], [[[0.1, 0.9]], [[0.3, 1.0]]])
    alone = pooled(features[1:, :5], [5], [[[0.3, 1.0]]])
    torch.testing.assert_close(both[1], alone[0])


def test_gradients_are_those_of_the_weighted_sum() -> None:
    features = torch.randn(2, 6, 2, dtype=torch.float64, requires_grad=True)
    segments = [[[0.1, 0.5], [0.4, 0.4]], [[-0.2, 1.3], [0.6, 0.95]]]
    assert torch.autograd.gradcheck(lambda tensor: pooled(tensor, [6, 4], segments), (features,))


def test_half_precision_features_keep_exact_places() -> None:
    features = torch.arange(4096.0).remainder(7.0).view(1, 4096, 1)
    segments = [[[0.7001, 0.7003], [0.95, 0.951]]]
    half = pooled(features.to(torch.bfloat16), [4096], segments)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), pooled(features, [4096], segments), rtol=0.01, atol=0.02)
