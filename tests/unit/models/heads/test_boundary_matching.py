"""The sparse boundary-matching layer against the dense published construction."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference.bm_sampling import dense_mask
from talaria_models.layers.boundary_matching import HIDDEN_BLOCK, BoundaryMatching
from talaria_models.layers.candidate_sampling import MapAxes, SamplingGrid, convert_axes

AXES: tuple[MapAxes, ...] = ("start_end", "duration_start")


def grid_of(size: int, axes: MapAxes, ratio: float = 0.5) -> SamplingGrid:
    return SamplingGrid(size, num_samples=8, num_samples_per_bin=3, boundary_ratio=ratio, axes=axes)


def dense_output(layer: BoundaryMatching, reduction: nn.Linear, features_BCT: Tensor) -> Tensor:
    """(B, R, X, Y): dense mask, the published convolution over the samples, ReLU, pointwise convolution."""
    grid = layer.grid
    size = grid.num_snippets
    mask = torch.from_numpy(dense_mask(grid)).reshape(size, -1).to(features_BCT.dtype)
    samples = (features_BCT @ mask).unflatten(2, (grid.num_samples, size, size))
    mixed = F.conv3d(samples, layer.mixing_CNH.permute(2, 0, 1)[..., None, None], layer.bias_H).squeeze(2)
    return F.conv2d(F.relu(mixed), reduction.weight[:, :, None, None], reduction.bias)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(
    ("size", "ratio", "hidden"),
    [(2, 0.5, 6), (7, 0.5, 1), (16, 0.0, 6), (33, 0.25, 2 * HIDDEN_BLOCK + 3), (33, 1.7, 6)],
)
def test_agrees_with_the_dense_layer_in_values_and_gradients(
    size: int, ratio: float, hidden: int, axes: MapAxes
) -> None:
    torch.manual_seed(size)
    layer = BoundaryMatching(grid_of(size, axes, ratio), in_channels=5, hidden_channels=hidden)
    reduction = nn.Linear(hidden, 4)
    features = torch.randn(2, 5, size, requires_grad=True)
    weights = torch.randn(2, len(layer.cell_P), 4)
    found = layer(features, reduction)
    want = dense_output(layer, reduction, features).flatten(2)[:, :, layer.cell_P].transpose(1, 2)
    torch.testing.assert_close(found, want, rtol=0, atol=1e-4)
    inputs = [features, layer.mixing_CNH, layer.bias_H, reduction.weight, reduction.bias]
    for mine, theirs in zip(
        torch.autograd.grad((found * weights).sum(), inputs),
        torch.autograd.grad((want * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("axes", AXES)
def test_cells_outside_the_video_are_the_dense_layers(axes: MapAxes) -> None:
    layer = BoundaryMatching(grid_of(6, axes), in_channels=2, hidden_channels=3)
    reduction = nn.Linear(3, 4)
    want = dense_output(layer, reduction, torch.randn(1, 2, 6)).flatten(2)[0].T
    outside = torch.ones(36, dtype=torch.bool)
    outside[layer.cell_P] = False
    torch.testing.assert_close(layer.outside(reduction).expand(15, -1), want[outside])


@pytest.mark.parametrize("axes", AXES)
def test_gradient_is_that_of_finite_differences(axes: MapAxes) -> None:
    torch.manual_seed(0)
    layer = BoundaryMatching(grid_of(5, axes), in_channels=2, hidden_channels=3).double()
    reduction = nn.Linear(3, 2).double()
    features = torch.randn(2, 2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: layer(given, reduction), (features,))


@pytest.mark.parametrize("axes", AXES)
def test_candidates_cover_every_segment_inside_the_video_once(axes: MapAxes) -> None:
    layer = BoundaryMatching(grid_of(9, axes), in_channels=1, hidden_channels=1)
    cells = torch.full((81,), -1)
    cells[layer.cell_P] = torch.arange(45)
    canonical = convert_axes(cells.reshape(9, 9), axes, "duration_start")
    for candidate, (duration, start) in enumerate(zip(layer.duration_P, layer.start_P, strict=True)):
        assert canonical[duration, start] == candidate
        assert start + duration + 1 <= 9
    assert (canonical >= 0).sum() == 45


def test_a_shift_in_time_moves_the_samples_with_it() -> None:
    layer = BoundaryMatching(grid_of(24, "duration_start"), in_channels=3, hidden_channels=4)
    reduction = nn.Linear(4, 4)
    event = torch.zeros(1, 3, 24)
    event[:, :, 8:12] = torch.randn(3, 4)
    before, after = layer(event, reduction)[0], layer(event.roll(5, dims=2), reduction)[0]
    inside = layer.start_P + layer.duration_P + 5 < 24
    moved = {(int(d), int(t)): row for d, t, row in zip(layer.duration_P, layer.start_P, after, strict=True)}
    shifted = zip(layer.duration_P[inside], layer.start_P[inside], strict=True)
    want = torch.stack([moved[int(d), int(t) + 5] for d, t in shifted])
    torch.testing.assert_close(before[inside], want)


def test_axes_round_trip_keeps_every_cell() -> None:
    maps = torch.arange(2 * 36).reshape(2, 6, 6)
    there = convert_axes(maps, "start_end", "duration_start")
    assert torch.equal(convert_axes(there, "duration_start", "start_end"), maps)
    for start in range(6):
        for end in range(start, 6):
            assert there[1, end - start, start] == maps[1, start, end]


def test_bfloat16_stays_close_to_float32() -> None:
    torch.manual_seed(0)
    layer, reduction = BoundaryMatching(grid_of(16, "start_end"), 8, 8), nn.Linear(8, 8)
    features = torch.randn(2, 8, 16)
    want, want_gradient = value_and_gradient(layer, reduction, features)
    found, gradient = value_and_gradient(
        layer.to(torch.bfloat16), reduction.to(torch.bfloat16), features.to(torch.bfloat16)
    )
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), want, rtol=0.05, atol=0.05)
    assert (gradient.float() - want_gradient).norm() < 0.05 * want_gradient.norm()


def value_and_gradient(
    layer: BoundaryMatching, reduction: nn.Linear, features: Tensor
) -> tuple[Tensor, Tensor]:
    """What the layer gives and the gradient of its mixing weights for the sum of squares of that."""
    found = layer(features, reduction)
    (gradient,) = torch.autograd.grad(found.float().square().sum(), [layer.mixing_CNH])
    return found.detach(), gradient


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gpu_agrees_with_the_cpu(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, reduction = BoundaryMatching(grid_of(20, "start_end"), 8, 8), nn.Linear(8, 8)
    features = torch.randn(2, 8, 20)
    want, want_gradient = value_and_gradient(layer, reduction, features)
    found, gradient = value_and_gradient(
        layer.to("cuda", dtype), reduction.to("cuda", dtype), features.to("cuda", dtype)
    )
    slack = 1e-3 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(found.float().cpu(), want, rtol=slack, atol=slack)
    scale = want_gradient.abs().max().item()
    torch.testing.assert_close(gradient.float().cpu(), want_gradient, rtol=0, atol=slack * scale)
