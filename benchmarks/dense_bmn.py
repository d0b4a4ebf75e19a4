"""BMN as published: a dense sampling mask, Conv3d over the samples, convolutions over the whole map.

The yardstick of the benchmarks, with the weights of the network that is measured against it.

Letters: B batch, C channels, H channels, T snippets, D durations, M map channels, N samples per candidate, X
rows and Y columns of the map in the axes of the sampling grid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference.bm_sampling import dense_mask
from talaria_models.bmn.model import BMN, BMNOutput
from talaria_models.layers.boundary_matching import BoundaryMatching
from talaria_models.layers.candidate_sampling import convert_axes


class DenseMatching(nn.Module):
    """Mask product, Conv3d, ReLU and pointwise convolution."""

    mask: Tensor

    def __init__(self, matching: BoundaryMatching, reduction: nn.Linear) -> None:
        super().__init__()
        self.grid = matching.grid
        size, num_samples = self.grid.num_snippets, self.grid.num_samples
        in_channels, _, hidden = matching.mixing_CNH.shape
        mask = torch.from_numpy(dense_mask(self.grid)).reshape(size, -1)
        self.register_buffer("mask", mask, persistent=False)
        self.mix = nn.Conv3d(in_channels, hidden, (num_samples, 1, 1))
        self.reduce = nn.Conv2d(hidden, reduction.out_features, 1)
        with torch.no_grad():
            self.mix.weight.copy_(matching.mixing_CNH.permute(2, 0, 1)[..., None, None])
            self.mix.bias.copy_(matching.bias_H)
            self.reduce.weight.copy_(reduction.weight[..., None, None])
            self.reduce.bias.copy_(reduction.bias)

    def forward(self, features_BCT: Tensor) -> Tensor:
        """(B, H, X, Y) before the second ReLU."""
        size = self.grid.num_snippets
        samples = (features_BCT @ self.mask).unflatten(2, (self.grid.num_samples, size, size))
        reduced_BHXY: Tensor = self.reduce(F.relu(self.mix(samples)).squeeze(2))
        return reduced_BHXY


class DenseBMN(nn.Module):
    """The published network with the weights of `model`, whose modules it takes over."""

    def __init__(self, model: BMN) -> None:
        super().__init__()
        proposals = model.proposals
        self.axes = model.config.sampling
        self.base, self.start, self.end, self.conv = model.base, model.start, model.end, proposals.conv
        self.matching = DenseMatching(proposals.matching, proposals.reduce)
        self.map_conv1, self.map_conv2 = proposals.map_conv1, proposals.map_conv2
        self.score = proposals.score

    def forward(self, features_BCT: Tensor) -> BMNOutput:
        base_BHT = self.base(features_BCT, None)
        map_BHXY = F.relu(self.matching(F.relu(self.conv(base_BHT))))
        map_BHXY = F.relu(self.map_conv2(F.relu(self.map_conv1(map_BHXY))))
        maps_BMDT = convert_axes(self.score(map_BHXY), self.axes, "duration_start")
        return BMNOutput(self.start(base_BHT), self.end(base_BHT), maps_BMDT)
