"""BMN as published: a dense sampling mask, Conv3d over the samples, convolutions over the whole map.

The yardstick of the benchmarks, with the weights of the network that is measured against it.

Letters: B batch, C channels, H channels, T snippets, D durations, M map channels, N samples per candidate, X
rows and Y columns of the map in the axes of the sampling grid.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference.bm_sampling import dense_mask
from talaria_models.bmn.model import BMN, BMNOutput
from talaria_models.layers.boundary_matching import BoundaryMatching
from talaria_models.layers.candidate_sampling import convert_axes

LARGEST_SAMPLES = 2**31 - 1
"""Bytes of samples in one convolution: at D = 256 oneDNN ran plain loops; size may be why."""


class DenseMatching(nn.Module):
    """Mask product, Conv3d, ReLU and pointwise convolution.

    Samples of 2 GiB and more go through the convolution in parts, by rows of the map and by videos: the same
    arithmetic, for a yardstick that is not slow by accident.
    """

    def __init__(self, matching: BoundaryMatching, reduction: nn.Linear) -> None:
        super().__init__()
        self.grid = matching.grid
        size, num_samples = self.grid.num_snippets, self.grid.num_samples
        in_channels, _, hidden = matching.mixing_CNH.shape
        video_bytes = 4 * in_channels * num_samples * size * size
        self.num_parts = -(-video_bytes // LARGEST_SAMPLES)
        self.videos_at_once = max(LARGEST_SAMPLES // video_bytes, 1)
        for part, rows in enumerate(np.array_split(dense_mask(self.grid), self.num_parts, axis=2)):
            mask = torch.from_numpy(np.ascontiguousarray(rows)).reshape(size, -1)
            self.register_buffer(f"mask{part}", mask, persistent=False)
        self.mix = nn.Conv3d(in_channels, hidden, (num_samples, 1, 1))
        self.reduce = nn.Conv2d(hidden, reduction.out_features, 1)
        with torch.no_grad():
            self.mix.weight.copy_(matching.mixing_CNH.permute(2, 0, 1)[..., None, None])
            self.mix.bias.copy_(matching.bias_H)
            self.reduce.weight.copy_(reduction.weight[..., None, None])
            self.reduce.bias.copy_(reduction.bias)

    def forward(self, features_BCT: Tensor) -> Tensor:
        """(B, H, X, Y) before the second ReLU."""
        mixed = [self._mixed(videos) for videos in features_BCT.split(self.videos_at_once)]
        reduced_BHXY: Tensor = self.reduce(F.relu(torch.cat(mixed)))
        return reduced_BHXY

    def _mixed(self, features_BCT: Tensor) -> Tensor:
        """(B, H, X, Y) before the first ReLU."""
        shape = (self.grid.num_samples, -1, self.grid.num_snippets)
        masks = [self.get_buffer(f"mask{part}") for part in range(self.num_parts)]
        samples = [(features_BCT @ mask).unflatten(2, shape) for mask in masks]
        return torch.cat([self.mix(part) for part in samples], dim=3).squeeze(2)


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
