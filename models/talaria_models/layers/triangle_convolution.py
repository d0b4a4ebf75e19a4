"""3 x 3 convolution and ReLU over proposal maps, only where segments lie inside the video.

Half of a square map of candidates is empty. Rows are cut into blocks, and each block is convolved over the
columns that it can use: less work by nearly half, the same numbers in the cells that count.

Letters: B batch, H channels, X rows and Y columns of the map, in the axes of `SamplingGrid`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from talaria_models.layers.candidate_sampling import MapAxes
from talaria_models.layers.precision import in_autocast_dtype

NUM_BLOCKS = 8
"""Blocks of a map: more of them follow the triangle more closely and add overhead."""


@dataclass(frozen=True)
class _Block:
    """A rectangle of output cells and the rectangle of input cells, one wider, that it sees.

    Attributes:
        outputs, inputs: rows and columns; the inputs end at the map's edges.
        padding: zeros beyond those edges: left, right, top, bottom.
    """

    outputs: tuple[slice, slice]
    inputs: tuple[slice, slice]
    padding: tuple[int, int, int, int]


def convolve_triangle(
    maps_BHXY: Tensor, weight: Tensor, bias_H: Tensor, axes: MapAxes, margin: int, square_BXY: Tensor | None
) -> Tensor:
    """relu(conv2d(maps, weight, bias, padding=1)) around the cells inside the video.

    Args:
        maps_BHXY: (B, H, T, T), square.
        weight: (H, H, 3, 3).
        bias_H: (H,).
        axes: where the cells inside the video lie, as in `SamplingGrid.axes`.
        margin: cells beyond the triangle, in every direction, that a further convolution needs.
        square_BXY: (B, T, T) bool, cells that exist in each video; others read as zero. None: all exist.

    Returns:
        (B, H, T, T): exact inside the video and up to `margin` cells around it, unless they fall outside
        `square_BXY`; cells further away mean nothing and pass no gradient that is right.
    """
    blocks = _blocks(maps_BHXY.shape[-1], axes, margin)
    maps_BHXY, weight, bias_H = in_autocast_dtype(maps_BHXY, weight, bias_H)
    result: Tensor = _BlockwiseConvolution.apply(maps_BHXY, weight, bias_H, square_BXY, blocks)  # type: ignore[no-untyped-call]
    return result


def _blocks(size: int, axes: MapAxes, margin: int) -> tuple[_Block, ...]:
    """Disjoint row blocks that cover the triangle and its margin."""
    height = -(-size // NUM_BLOCKS)
    blocks = []
    for first in range(0, size, height):
        last = min(first + height, size)
        # A margin of one row reaches a further column of the triangle, hence twice the margin.
        if axes == "duration_start":
            left, right = 0, min(size - first + 2 * margin, size)
        else:
            left, right = max(first - 2 * margin, 0), size
        top, bottom = int(first == 0), int(last == size)
        before, after = int(left == 0), int(right == size)
        inputs = (slice(first - 1 + top, last + 1 - bottom), slice(left - 1 + before, right + 1 - after))
        blocks.append(_Block((slice(first, last), slice(left, right)), inputs, (before, after, top, bottom)))
    return tuple(blocks)


class _BlockwiseConvolution(torch.autograd.Function):
    """Plain slicing would do, but its backward would write a whole map of zeros for every block."""

    @staticmethod
    def forward(
        ctx: Any,
        maps_BHXY: Tensor,
        weight: Tensor,
        bias_H: Tensor,
        square_BXY: Tensor | None,
        blocks: tuple[_Block, ...],
    ) -> Tensor:
        result = torch.zeros_like(maps_BHXY)
        for block in blocks:
            seen = _seen(maps_BHXY, square_BXY, block)
            result[:, :, *block.outputs] = F.conv2d(seen, weight, bias_H).relu_()
        ctx.save_for_backward(maps_BHXY, weight, square_BXY, result)
        ctx.blocks = blocks
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BHXY: Tensor) -> tuple[Tensor | None, ...]:
        maps_BHXY, weight, square_BXY, result = ctx.saved_tensors
        exact = torch.promote_types(weight.dtype, torch.float32)
        d_maps_BHXY = torch.zeros_like(maps_BHXY)
        d_weight, d_bias = torch.zeros_like(weight, dtype=exact), weight.new_zeros(len(weight), dtype=exact)
        for block in ctx.blocks:
            seen = _seen(maps_BHXY, square_BXY, block)
            passed = gradient_BHXY[:, :, *block.outputs] * (result[:, :, *block.outputs] > 0)
            d_seen, d_weight_block, d_bias_block = torch.ops.aten.convolution_backward(
                passed, seen, weight, [len(weight)], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True] * 3
            )
            d_weight += d_weight_block
            d_bias += d_bias_block
            left, right, top, bottom = block.padding
            d_inputs = F.pad(d_seen, (-left, -right, -top, -bottom))
            if square_BXY is not None:
                d_inputs = d_inputs * square_BXY[:, None, *block.inputs]
            d_maps_BHXY[:, :, *block.inputs] += d_inputs
        return d_maps_BHXY, d_weight.to(weight.dtype), d_bias.to(weight.dtype), None, None


def _seen(maps_BHXY: Tensor, square_BXY: Tensor | None, block: _Block) -> Tensor:
    """A block's input cells, zero where nothing exists, with the zeros beyond the map's edges."""
    inputs = maps_BHXY[:, :, *block.inputs]
    if square_BXY is not None:
        inputs = inputs * square_BXY[:, None, *block.inputs]
    return F.pad(inputs, block.padding)
