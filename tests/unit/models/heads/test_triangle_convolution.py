"""The map convolution without the empty triangle against the plain one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from talaria_models.layers.candidate_sampling import MapAxes, convert_axes
from talaria_models.layers.triangle_convolution import convolve_triangle

AXES: tuple[MapAxes, ...] = ("start_end", "duration_start")


def inside(size: int, axes: MapAxes) -> Tensor:
    """(X, Y) bool: cells of segments inside the video."""
    canonical = torch.arange(size)[:, None] + torch.arange(size) < size
    return convert_axes(canonical, "duration_start", axes)


def widened(cells: Tensor) -> Tensor:
    """The cells and all their neighbours."""
    return F.max_pool2d(cells[None].float(), 3, stride=1, padding=1)[0] > 0


def gradients(loss: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, inputs)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 40])
@pytest.mark.parametrize("margin", [0, 1])
def test_equals_the_plain_convolution_where_it_counts(axes: MapAxes, size: int, margin: int) -> None:
    torch.manual_seed(size)
    maps = torch.randn(2, 3, size, size, requires_grad=True)
    weight, bias = torch.randn(3, 3, 3, 3, requires_grad=True), torch.randn(3, requires_grad=True)
    counted = widened(inside(size, axes)) if margin else inside(size, axes)
    upstream = torch.randn(2, 3, size, size) * counted
    found = convolve_triangle(maps, weight, bias, axes, margin, None)
    want = F.relu(F.conv2d(maps, weight, bias, padding=1))
    torch.testing.assert_close(found * counted, want * counted, rtol=0, atol=1e-5)
    inputs = [maps, weight, bias]
    for mine, plain in zip(
        gradients((found * upstream).sum(), inputs), gradients((want * upstream).sum(), inputs), strict=True
    ):
        torch.testing.assert_close(mine, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("axes", AXES)
def test_cells_beyond_a_short_video_read_as_zero(axes: MapAxes) -> None:
    torch.manual_seed(0)
    maps = torch.randn(1, 2, 20, 20, requires_grad=True)
    weight, bias = torch.randn(2, 2, 3, 3), torch.randn(2)
    square = torch.zeros(1, 20, 20, dtype=torch.bool)
    square[:, :13, :13] = True
    found = convolve_triangle(maps, weight, bias, axes, 0, square)[:, :, :13, :13] * inside(13, axes)
    want = F.relu(F.conv2d(maps[:, :, :13, :13], weight, bias, padding=1)) * inside(13, axes)
    torch.testing.assert_close(found, want, rtol=0, atol=1e-5)
    (mine,), (plain,) = gradients(found.sum(), [maps]), gradients(want.sum(), [maps])
    torch.testing.assert_close(mine, plain, rtol=1e-4, atol=1e-4)


def test_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    maps = torch.randn(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *given: convolve_triangle(*given, "start_end", 0, None), (maps, weight, bias)
    )


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_bfloat16_autocast_stays_close_to_float32(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 8, 24, 24).to(memory_format=memory_format).requires_grad_()
    weight, bias = torch.randn(8, 8, 3, 3) / 8, torch.randn(8)
    want = convolve_triangle(maps, weight, bias, "start_end", 0, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = convolve_triangle(maps, weight, bias, "start_end", 0, None)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), want, rtol=0.05, atol=0.05)
    (mine,), (exact,) = gradients(found.float().sum(), [maps]), gradients(want.sum(), [maps])
    assert (mine - exact).norm() < 0.1 * exact.norm()
