"""Maximum Mean Discrepancy against its definition, pair by pair."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from talaria_models.kt_mgfn.mmd import squared_mmd

WIDTHS = (0.5, 1.0, 3.0)


def by_pairs(first: Tensor, second: Tensor) -> float:
    """The same by loops over pairs of points, in double precision."""
    points = [*first.double(), *second.double()]
    apart = [
        float(((a - b) ** 2).sum()) for i, a in enumerate(points) for j, b in enumerate(points) if i != j
    ]
    scale = sum(apart) / len(apart)

    def similarity(left: Tensor, right: Tensor) -> float:
        kernels = [
            math.exp(-float(((a - b) ** 2).sum()) / (width * scale))
            for a in left.double()
            for b in right.double()
            for width in WIDTHS
        ]
        return sum(kernels) / len(kernels)

    return similarity(first, first) - 2 * similarity(first, second) + similarity(second, second)


def everything(points: Tensor) -> Tensor:
    return torch.ones(points.shape[:-1], dtype=torch.bool)


@pytest.mark.parametrize(("num_first", "num_second"), [(1, 1), (1, 5), (4, 7)])
def test_agrees_with_its_definition(num_first: int, num_second: int) -> None:
    generator = torch.Generator().manual_seed(num_second)
    first = torch.randn(3, num_first, 6, generator=generator)
    second = torch.randn(3, num_second, 6, generator=generator) * 2 + 1
    found = squared_mmd(first, second, WIDTHS, everything(second))
    want = [by_pairs(a, b) for a, b in zip(first, second, strict=True)]
    torch.testing.assert_close(found, torch.tensor(want), rtol=1e-4, atol=1e-6)


def test_equal_sets_have_none() -> None:
    points = torch.randn(2, 5, 4)
    torch.testing.assert_close(
        squared_mmd(points, points.flip(1), WIDTHS, everything(points)), torch.zeros(2), atol=1e-6, rtol=0
    )
    same = torch.full((1, 3, 4), 7.0)
    assert squared_mmd(same[:, :1], same, WIDTHS, everything(same)).item() == 0.0


def test_points_that_do_not_exist_change_nothing() -> None:
    first, second = torch.randn(2, 3, 4), torch.randn(2, 6, 4)
    valid = torch.arange(6) < torch.tensor([[4], [6]])
    second[0, 4:] = float("nan")
    found = squared_mmd(first, second, WIDTHS, valid)
    assert found[0].item() == pytest.approx(by_pairs(first[0], second[0, :4]), rel=1e-4)
    assert found[1].item() == pytest.approx(by_pairs(first[1], second[1]), rel=1e-4)


def test_without_any_point_there_is_none_and_the_gradient_is_finite() -> None:
    first = torch.randn(2, 1, 4, requires_grad=True)
    second = torch.randn(2, 3, 4)
    valid = torch.tensor([[False] * 3, [True] * 3])
    found = squared_mmd(first, second, WIDTHS, valid)
    found.sum().backward()
    assert found[0].item() == 0.0
    assert first.grad is not None
    assert not first.grad[0].any()
    assert first.grad[1].any()


@pytest.mark.parametrize("distance", [1e-3, 1.0, 1e4])
def test_descending_brings_a_point_to_the_set_from_any_distance(distance: float) -> None:
    second = torch.randn(1, 8, 4, generator=torch.Generator().manual_seed(0))
    point = (second.mean(dim=1, keepdim=True) + distance).requires_grad_()
    squared_mmd(point, second, WIDTHS, everything(second)).sum().backward()
    assert point.grad is not None
    assert torch.isfinite(point.grad).all()
    if distance >= 1.0:
        assert (point.grad > 0).all()


@pytest.mark.parametrize("size", [0.0, 1e-20, 1e15])
def test_extremes_are_finite(size: float) -> None:
    first = torch.full((1, 1, 4), size, requires_grad=True)
    second = torch.zeros(1, 2, 4)
    found = squared_mmd(first, second, WIDTHS, everything(second))
    found.sum().backward()
    assert first.grad is not None
    assert torch.isfinite(first.grad).all()
    assert 0.0 <= found.item() < 4.0
