"""The sparse boundary-matching layer against the dense published construction."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from reference.bm_sampling import dense_mask
from talaria_models.layers.boundary_matching import BoundaryMatching, MapAxes, SamplingGrid, convert_axes

AXES: tuple[MapAxes, ...] = ("start_end", "duration_start")


def grid_of(size: int, axes: MapAxes, ratio: float = 0.5) -> SamplingGrid:
    return SamplingGrid(size, num_samples=8, num_samples_per_bin=3, boundary_ratio=ratio, axes=axes)


def dense_output(layer: BoundaryMatching, features_BCT: Tensor) -> Tensor:
    """(B, H, X, Y): dense mask, then the published convolution over the samples."""
    grid = layer.grid
    size = grid.num_snippets
    mask = torch.from_numpy(dense_mask(grid)).reshape(size, -1).to(features_BCT.dtype)
    samples = (features_BCT @ mask).unflatten(2, (grid.num_samples, size, size))
    return F.conv3d(samples, layer.mixing_CNH.permute(2, 0, 1)[..., None, None], layer.bias_H).squeeze(2)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(("size", "ratio"), [(2, 0.5), (7, 0.5), (16, 0.0), (33, 0.25), (33, 1.7)])
def test_agrees_with_the_dense_layer_in_values_and_gradients(size: int, ratio: float, axes: MapAxes) -> None:
    torch.manual_seed(size)
    layer = BoundaryMatching(grid_of(size, axes, ratio), in_channels=5, out_channels=6)
    features = torch.randn(2, 5, size, requires_grad=True)
    weights = torch.randn(2, len(layer.cell_P), 6)
    found = layer(features)
    want = dense_output(layer, features).flatten(2)[:, :, layer.cell_P].transpose(1, 2)
    torch.testing.assert_close(found, want, rtol=0, atol=1e-4)
    inputs = [features, layer.mixing_CNH, layer.bias_H]
    for mine, theirs in zip(
        torch.autograd.grad((found * weights).sum(), inputs),
        torch.autograd.grad((want * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("axes", AXES)
def test_gradient_is_that_of_finite_differences(axes: MapAxes) -> None:
    layer = BoundaryMatching(grid_of(5, axes), in_channels=2, out_channels=3).double()
    features = torch.randn(2, 2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (features,))


@pytest.mark.parametrize("axes", AXES)
def test_candidates_cover_every_segment_inside_the_video_once(axes: MapAxes) -> None:
    layer = BoundaryMatching(grid_of(9, axes), in_channels=1, out_channels=1)
    cells = torch.full((81,), -1)
    cells[layer.cell_P] = torch.arange(45)
    canonical = convert_axes(cells.reshape(9, 9), axes, "duration_start")
    for candidate, (duration, start) in enumerate(zip(layer.duration_P, layer.start_P, strict=True)):
        assert canonical[duration, start] == candidate
        assert start + duration + 1 <= 9
    assert (canonical >= 0).sum() == 45


def test_a_shift_in_time_moves_the_samples_with_it() -> None:
    layer = BoundaryMatching(grid_of(24, "duration_start"), in_channels=3, out_channels=4)
    event = torch.zeros(1, 3, 24)
    event[:, :, 8:12] = torch.randn(3, 4)
    before, after = layer(event)[0], layer(event.roll(5, dims=2))[0]
    inside = layer.start_P + layer.duration_P + 5 < 24
    moved = {(int(d), int(t)): row for d, t, row in zip(layer.duration_P, layer.start_P, after, strict=True)}
    want = torch.stack(
        [
            moved[int(d), int(t) + 5]
            for d, t in zip(layer.duration_P[inside], layer.start_P[inside], strict=True)
        ]
    )
    torch.testing.assert_close(before[inside], want)


def test_axes_round_trip_keeps_every_cell() -> None:
    maps = torch.arange(2 * 36).reshape(2, 6, 6)
    there = convert_axes(maps, "start_end", "duration_start")
    assert torch.equal(convert_axes(there, "duration_start", "start_end"), maps)
    for start in range(6):
        for end in range(start, 6):
            assert there[1, end - start, start] == maps[1, start, end]


def test_bfloat16_stays_close_to_float32() -> None:
    layer = BoundaryMatching(grid_of(16, "start_end"), in_channels=8, out_channels=8)
    features = torch.randn(2, 8, 16)
    want = layer(features)
    found = layer.to(torch.bfloat16)(features.to(torch.bfloat16))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), want, rtol=0.05, atol=0.05)
    found.float().square().sum().backward()
    assert torch.isfinite(layer.mixing_CNH.grad).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gpu_agrees_with_the_cpu(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = BoundaryMatching(grid_of(20, "start_end"), in_channels=8, out_channels=8)
    features = torch.randn(2, 8, 20)
    want = layer(features)
    want.square().sum().backward()
    gradient = layer.mixing_CNH.grad
    layer.mixing_CNH.grad = None
    found = layer.to("cuda", dtype)(features.to("cuda", dtype))
    found.float().square().sum().backward()
    slack = 1e-3 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(found.float().cpu(), want, rtol=slack, atol=slack)
    scale = gradient.abs().max().item()
    torch.testing.assert_close(layer.mixing_CNH.grad.float().cpu(), gradient, rtol=0, atol=slack * scale)
