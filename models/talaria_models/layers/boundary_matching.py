"""Boundary matching: N interpolated samples of every candidate segment, mixed and reduced to one vector each.

The published layer multiplies (C, T) features with a dense (T, N*D*T) mask, runs a convolution with kernel
(N, 1, 1) over the samples, then ReLU and a pointwise convolution. Sampling and mixing are linear, so they
commute: here the mixing weights act first, on the T axis (one matrix product gives a table of T * N vectors),
and their results are interpolated sparsely, for the candidates inside the video only. Same numbers to float
rounding, without the mask and without a (C, N, D, T) tensor.

Nothing of size P * H is held: hidden channels are independent until the reduction adds them up, so
`HIDDEN_BLOCK` of them are mixed, rectified and reduced at a time, video by video, and backward computes them
again. A block of b channels takes 4 (T N + P) b bytes in float32, twice that in backward. Beside it lie the
sparse structure, 16 bytes a non-zero, the result, 4 B P R, and in backward the gradient of the mixing
weights, 4 C N H. At T = 200 with the published channels: structure 38 MiB, block 6 or 13, result 10 a video,
gradient 16.

Lin et al., BMN: Boundary-Matching Network for Temporal Action Proposal Generation, 2019, arXiv 1907.09702,
"Boundary-Matching Mechanism".

Letters: B batch, C channels in, H hidden channels, R channels out, T snippets, N samples per candidate, P
candidates inside the video, that is T * (T + 1) / 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from talaria_models.layers.candidate_sampling import SamplingGrid, sparse_sampling
from talaria_models.layers.precision import in_autocast_dtype

HIDDEN_BLOCK = 64
"""Hidden channels worked on at a time: few enough that a block's rows stay in the processor's caches."""

Structure = tuple[Tensor, ...]
"""Row pointers, members and weights of a compressed sparse matrix."""


class _MatchAndReduce(torch.autograd.Function):
    """relu(sampling @ (features @ mixing) + bias) @ reduction + offset, in blocks of hidden channels."""

    @staticmethod
    def forward(
        ctx: Any,
        features_BCT: Tensor,
        mixing_CNH: Tensor,
        bias_H: Tensor,
        reduction_RH: Tensor,
        offset_R: Tensor,
        *structure: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(features_BCT, mixing_CNH, bias_H, reduction_RH, *structure)
        rows, num_candidates = structure[:3], len(structure[0]) - 1
        exact = torch.promote_types(features_BCT.dtype, torch.float32)
        shape = (len(features_BCT), num_candidates, len(reduction_RH))
        reduced_BPR = offset_R.to(exact).expand(shape).clone(memory_format=torch.contiguous_format)
        for channels in _blocks(len(bias_H)):
            mixing_Cm = mixing_CNH[:, :, channels].flatten(1)
            for features_CT, reduced_PR in zip(features_BCT, reduced_BPR, strict=True):
                hidden_Ph = _hidden(features_CT, mixing_Cm, bias_H[channels], rows)
                _add_product(reduced_PR, hidden_Ph, reduction_RH[:, channels].T)
                del hidden_Ph  # or it would lie beside the next video's
        return reduced_BPR.to(features_BCT.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BPR: Tensor) -> tuple[Tensor | None, ...]:
        features_BCT, mixing_CNH, bias_H, reduction_RH, *structure = ctx.saved_tensors
        rows, columns = structure[:3], structure[3:]
        size = features_BCT.shape[2]
        exact = torch.promote_types(features_BCT.dtype, torch.float32)
        inputs = (features_BCT, mixing_CNH, bias_H, reduction_RH)
        d_features_BCT, d_mixing_CNH, d_bias_H, d_reduction_RH = (
            torch.zeros_like(tensor, dtype=exact, memory_format=torch.contiguous_format) for tensor in inputs
        )
        for channels in _blocks(len(bias_H)):
            mixing_Cm = mixing_CNH[:, :, channels].flatten(1)
            d_mixing_Cm = torch.zeros_like(mixing_Cm, dtype=exact)
            for features_CT, gradient_PR, d_features_CT in zip(
                features_BCT, gradient_BPR, d_features_BCT, strict=True
            ):
                hidden_Ph = _hidden(features_CT, mixing_Cm, bias_H[channels], rows)
                d_reduction_RH[:, channels] += gradient_PR.T @ hidden_Ph.to(gradient_PR.dtype)
                d_hidden_Ph = _hidden_gradient(gradient_PR, reduction_RH[:, channels], hidden_Ph)
                del hidden_Ph  # or it would lie beside the next video's
                d_bias_H[channels] += d_hidden_Ph.sum(dim=0)
                d_table_Tm = _weighted_bags(d_hidden_Ph, columns).view(size, -1).to(features_CT.dtype)
                del d_hidden_Ph
                _add_product(d_mixing_Cm, features_CT, d_table_Tm)
                _add_product(d_features_CT, mixing_Cm, d_table_Tm.T)
            d_mixing_CNH[:, :, channels] = d_mixing_Cm.view(*mixing_CNH.shape[:2], -1)
        gradients = (d_features_BCT, d_mixing_CNH, d_bias_H, d_reduction_RH)
        return (
            *(gradient.to(given.dtype) for gradient, given in zip(gradients, inputs, strict=True)),
            gradient_BPR.sum(dim=(0, 1)),
            *[None] * len(structure),
        )


def _blocks(num_hidden: int) -> Iterator[slice]:
    for first in range(0, num_hidden, HIDDEN_BLOCK):
        yield slice(first, min(first + HIDDEN_BLOCK, num_hidden))


def _hidden(features_CT: Tensor, mixing_Cm: Tensor, bias_h: Tensor, rows: Structure) -> Tensor:
    """(P, h) rectified mixed samples of one video in at least float32; m counts samples x channels h."""
    table_Tm = features_CT.T @ mixing_Cm
    hidden_Ph = _weighted_bags(table_Tm.view(-1, len(bias_h)), rows)
    return hidden_Ph.add_(bias_h).relu_()


def _hidden_gradient(gradient_PR: Tensor, reduction_Rh: Tensor, hidden_Ph: Tensor) -> Tensor:
    """(P, h) gradient of the mixed samples, zero where they were rectified, in the type of `hidden_Ph`."""
    d_hidden_Ph = (gradient_PR @ reduction_Rh).to(hidden_Ph.dtype)
    return d_hidden_Ph.masked_fill_(hidden_Ph <= 0, 0.0)  # a product would copy the mask as numbers


def _weighted_bags(table_Rh: Tensor, structure: Structure) -> Tensor:
    """A constant sparse matrix times a dense table, in at least float32.

    `embedding_bag` does the product: on CPU it is 3 to 4 times as fast as a CSR matrix product, and with the
    transposed structure stored too, backward is another gather in place of scattered additions.
    """
    pointer, member, weight = structure
    exact = torch.promote_types(table_Rh.dtype, torch.float32)
    return F.embedding_bag(
        member,
        table_Rh.to(exact),
        pointer,
        mode="sum",
        per_sample_weights=weight.to(exact),
        include_last_offset=True,
    )


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right, multiplied in the precision of `right`."""
    if total.dtype == right.dtype:
        total.addmm_(left, right)
    else:
        total += left.to(right.dtype) @ right


class BoundaryMatching(nn.Module):
    """Samples every candidate inside the video, mixes its samples, and reduces the rectified mixture."""

    row_ptr: Tensor
    column: Tensor
    weight: Tensor
    column_ptr: Tensor
    row: Tensor
    weight_by_column: Tensor
    duration_P: Tensor
    start_P: Tensor
    cell_P: Tensor

    _STRUCTURE = ("row_ptr", "column", "weight", "column_ptr", "row", "weight_by_column")

    def __init__(self, grid: SamplingGrid, in_channels: int, hidden_channels: int) -> None:
        """Allocate the mixing weights and the sparse structure of `grid`.

        Args:
            grid: where the samples lie.
            in_channels: C of the features.
            hidden_channels: H of the mixed vectors.
        """
        super().__init__()
        self.grid = grid
        self.mixing_CNH = nn.Parameter(torch.empty(in_channels, grid.num_samples, hidden_channels))
        self.bias_H = nn.Parameter(torch.empty(hidden_channels))
        for name, array in vars(sparse_sampling(grid)).items():
            dtype = torch.from_numpy(array[:0]).dtype
            self.register_buffer(name, torch.empty(array.shape, dtype=dtype), persistent=False)
        self.init_weights()

    def init_weights(self) -> None:
        """Set everything that the constructor allocated.

        mixing_CNH, bias_H: uniform in +-1/sqrt(C * N), torch's default for the published convolution.
        Buffers: the sparse sampling of the grid.
        """
        in_channels, num_samples, _ = self.mixing_CNH.shape
        bound = 1.0 / math.sqrt(in_channels * num_samples)
        nn.init.uniform_(self.mixing_CNH, -bound, bound)
        nn.init.uniform_(self.bias_H, -bound, bound)
        for name, array in vars(sparse_sampling(self.grid)).items():
            self.get_buffer(name).copy_(torch.from_numpy(array))

    def forward(self, features_BCT: Tensor, reduction: nn.Linear) -> Tensor:
        """Reduced vectors of every candidate inside the video.

        Args:
            features_BCT: (B, C, T) with T = grid.num_snippets.
            reduction: from H to R channels, applied to the rectified mixture.

        Returns:
            (B, P, R), candidates ordered by duration, then start (`duration_P`, `start_P`): what the
            published layer and its pointwise convolution give at map cell `cell_P`, before the second ReLU.
        """
        given = in_autocast_dtype(
            features_BCT, self.mixing_CNH, self.bias_H, reduction.weight, reduction.bias
        )
        structure = map(self.get_buffer, self._STRUCTURE)
        reduced_BPR: Tensor = _MatchAndReduce.apply(*given, *structure)  # type: ignore[no-untyped-call]
        return reduced_BPR

    def outside(self, reduction: nn.Linear) -> Tensor:
        """(R,): what the published layers give for cells outside the video, whose samples are all zero."""
        vector_R: Tensor = reduction(F.relu(self.bias_H))
        return vector_R
