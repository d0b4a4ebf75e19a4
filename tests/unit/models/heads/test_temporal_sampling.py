"""Sampling features along spans: equal to plain interpolation, whatever the padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from talaria_models.layers.temporal_sampling import sample_spans, with_context


def interpolated(features_CT: np.ndarray, span: np.ndarray, count: int, align_corners: bool) -> np.ndarray:
    """(C, S) samples by numpy.interp on features with a zero snippet at either end."""
    size = features_CT.shape[1]
    step = np.arange(count)
    if align_corners:
        share = step / (count - 1) if count > 1 else np.array([0.5])
        position = (span[0] + (span[1] - span[0]) * share) * (size - 1)
    else:
        position = (span[0] + (span[1] - span[0]) * (step + 0.5) / count) * size - 0.5
    snippets = np.arange(-1, size + 1)
    return np.stack(
        [np.interp(position, snippets, [0.0, *row, 0.0], left=0.0, right=0.0) for row in features_CT]
    )


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(2, 9),
    padding=st.integers(0, 4),
    count=st.integers(1, 7),
    start=st.floats(-0.5, 1.2),
    length=st.floats(0.0, 1.5),
    align_corners=st.booleans(),
)
def test_equals_plain_interpolation(
    size: int, padding: int, count: int, start: float, length: float, align_corners: bool
) -> None:
    torch.manual_seed(size)
    features = torch.randn(1, 3, size, dtype=torch.float64)
    span = torch.tensor([start, start + length], dtype=torch.float64)
    padded = torch.nn.functional.pad(features, (0, padding))
    mask = torch.arange(size + padding)[None] < size
    found = sample_spans(padded, span[None, None], count, mask, align_corners=align_corners)
    want = interpolated(features[0].numpy(), span.numpy(), count, align_corners)
    np.testing.assert_allclose(found[0, 0].numpy(), want, atol=1e-9)


def test_spans_of_every_video_are_sampled_on_their_own_features() -> None:
    torch.manual_seed(0)
    features, spans = torch.randn(3, 4, 10), torch.rand(3, 5, 2)
    found = sample_spans(features, spans, 6)
    assert found.shape == (3, 5, 4, 6)
    for video in range(3):
        for row in range(5):
            alone = sample_spans(features[video : video + 1], spans[video, row][None, None], 6)
            torch.testing.assert_close(found[video, row], alone[0, 0])


def test_context_lies_before_and_after() -> None:
    before, after = with_context(torch.tensor([[2.0, 6.0], [5.0, 5.0]]), 0.5)
    assert before.tolist() == [[0.0, 2.0], [5.0, 5.0]]
    assert after.tolist() == [[6.0, 8.0], [5.0, 5.0]]


@pytest.mark.parametrize("count", [0, 3])
def test_features_in_bfloat16_are_sampled_at_exact_positions(count: int) -> None:
    features = torch.arange(200.0).view(1, 1, 200)
    spans = torch.tensor([[[0.5025, 0.5025]] * count]).view(1, count, 2)
    found = sample_spans(features.bfloat16(), spans, 2)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), torch.full((1, count, 1, 2), 100.0))
