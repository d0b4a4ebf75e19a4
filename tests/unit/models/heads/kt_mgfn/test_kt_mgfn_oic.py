"""Activation inside and around continuous segments: exact values, and gradients of the right direction."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from talaria_models.kt_mgfn.oic import average_activation, best_anchors, contrast, inflated, normalised

STEP = torch.zeros(1, 60)
STEP[0, 20:40] = 1.0


def by_sampling(activation: Tensor, start: float, end: float, points: int = 20_000) -> float:
    """Mean activation at evenly spaced points; zero outside the video."""
    time = start + (torch.arange(points, dtype=torch.float64) + 0.5) * (end - start) / points
    snippet = time.floor().long()
    inside = (snippet >= 0) & (snippet < len(activation))
    return float((activation.double()[snippet.clamp(0, len(activation) - 1)] * inside).mean())


def test_the_average_over_a_continuous_segment() -> None:
    generator = torch.Generator().manual_seed(0)
    activation = torch.rand(2, 12, generator=generator)
    edges = torch.rand(2, 30, 2, generator=generator).sort(dim=2).values * 20 - 4
    found = average_activation(activation, edges)
    for row in range(2):
        want = [by_sampling(activation[row], *edge.tolist()) for edge in edges[row]]
        torch.testing.assert_close(found[row], torch.tensor(want), atol=2e-3, rtol=0)


def test_whole_snippets_have_their_own_activation() -> None:
    activation = torch.rand(1, 9)
    edges = torch.stack([torch.arange(9.0), torch.arange(9.0) + 1], dim=1)[None]
    torch.testing.assert_close(average_activation(activation, edges), activation, atol=1e-6, rtol=0)


def test_contrast_is_inner_minus_outer() -> None:
    activation = torch.rand(1, 30)
    segment = torch.tensor([[[8.3, 18.7]]])
    (start, end), (outer_start, outer_end) = segment[0, 0].tolist(), inflated(segment, 0.25)[0, 0].tolist()
    assert outer_start == pytest.approx(start - 0.25 * (end - start), rel=1e-5)
    assert outer_end == pytest.approx(end + 0.25 * (end - start), rel=1e-5)
    around = [by_sampling(activation[0], outer_start, start), by_sampling(activation[0], end, outer_end)]
    want = by_sampling(activation[0], start, end) - sum(around) / 2
    assert contrast(activation, segment, 0.25).item() == pytest.approx(want, abs=2e-3)


def test_short_segments_have_a_snippet_around_them() -> None:
    torch.testing.assert_close(inflated(torch.tensor([4.0, 5.0]), 0.25), torch.tensor([3.0, 6.0]))


def test_the_contrast_of_a_step_is_largest_at_the_step() -> None:
    exact = contrast(STEP, torch.tensor([[[20.0, 40.0]]]), 0.25)
    assert exact.item() == pytest.approx(1.0, abs=1e-5)
    others = torch.rand(1, 200, 2).sort(dim=2).values * 60
    assert (contrast(STEP, others, 0.25) < exact.item()).all()


@pytest.mark.parametrize(
    ("segment", "start_sign", "end_sign"),
    [
        ((22.0, 37.0), -1, 1),  # inside: both outward
        ((17.0, 44.0), 1, -1),  # around: both inward
        ((22.0, 43.0), -1, -1),  # too late: both back
        ((16.0, 38.0), 1, 1),  # too early: both on
    ],
)
def test_descending_the_loss_moves_boundaries_to_the_step(
    segment: tuple[float, float], start_sign: int, end_sign: int
) -> None:
    edges = torch.tensor([[segment]], requires_grad=True)
    (-contrast(STEP, edges, 0.25)).sum().backward()
    assert edges.grad is not None
    downhill = -edges.grad[0, 0]
    assert downhill[0].sign().item() == start_sign
    assert downhill[1].sign().item() == end_sign


def test_descending_ends_at_the_step() -> None:
    edges = torch.tensor([[[22.0, 37.0], [18.0, 44.0], [23.0, 42.0]]], requires_grad=True)
    optimizer = torch.optim.Adam([edges], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (-contrast(STEP, edges, 0.25)).sum().backward()
        optimizer.step()
    torch.testing.assert_close(edges.detach(), torch.tensor([20.0, 40.0]).expand(1, 3, 2), atol=0.4, rtol=0)


@pytest.mark.parametrize("segment", [(5.0, 5.0), (-1e8, 1e8), (-5.0, -4.0), (70.0, 90.0), (-1e-6, 1e-6)])
def test_extremes_are_finite(segment: tuple[float, float]) -> None:
    edges = torch.tensor([[segment]], requires_grad=True)
    found = contrast(STEP, edges, 0.25)
    found.sum().backward()
    assert edges.grad is not None
    assert torch.isfinite(edges.grad).all()
    assert -1.0 <= found.item() <= 1.0


def test_no_segment_has_no_average() -> None:
    assert average_activation(STEP, torch.zeros(1, 0, 2)).shape == (1, 0)


def test_every_snippet_takes_its_best_anchor() -> None:
    segments = torch.zeros(1, 60, 2, 2)
    segments[..., 1] = 1.0
    segments[0, 30, 0] = torch.tensor([25.0, 35.0])
    segments[0, 30, 1] = torch.tensor([20.0, 40.0])
    best, score = best_anchors(STEP, segments.flatten(1, 2), 0.25)
    assert best.shape == (1, 60, 2)
    assert best[0, 30].tolist() == [20.0, 40.0]
    assert score[0, 30].item() == pytest.approx(1.0, abs=1e-5)


def test_activation_is_relative_to_the_strongest_evidence() -> None:
    cas = torch.tensor([[[-1.0, 2.0, 4.0, 8.0], [-3.0, -1.0, -2.0, 5.0]]])
    found = normalised(cas, torch.tensor([[True, True, True, False]]))
    assert found[0, 0].tolist() == [0.0, 0.5, 1.0, 0.0]
    assert not found[0, 1].any()
    assert normalised(cas, None)[0, 1].tolist() == [0.0, 0.0, 0.0, 1.0]
