"""The two-stream backbone: I3D stages of colours and flow, averaged over space and joined level by level.

Wu et al. 2021, arXiv 2109.08847, sections 3.1.1 and 3.1.2. This version: uint8 frames in, windows that a
short video does not fill, stages that are computed a second time for their gradient (activation
checkpointing, Chen et al. 2016, arXiv 1604.06174), so that a step holds no more than one stage's insides.

Letters: B windows, L frames of a window, H, W pixels, C channels, T places of a level in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from talaria_models.backbones.i3d.model import I3D
from talaria_models.backbones.pixels import check_clips, network_input
from talaria_models.sp_tad.config import SPTADConfig

Levels = tuple[Tensor, ...]


class TwoStreamBackbone(nn.Module):
    """An I3D for each stream; their own classifiers are not used, the heads see all streams and levels."""

    def __init__(self, config: SPTADConfig) -> None:
        super().__init__()
        self.config = config
        size, frames = config.crop_size, config.window_frames
        self.streams = nn.ModuleDict()
        for stream in config.streams:
            network = I3D(config.i3d(stream), num_classes=1, num_frames=frames, height=size, width=size)
            self.streams[stream] = network
        networks = [self.network(stream) for stream in config.streams]
        self.level_dims = tuple(map(sum, zip(*(network.pyramid_dims for network in networks), strict=True)))
        self.fixed_norms = config.freeze_norms or config.backbone_lr_scale == 0.0
        self._fix_what_is_not_trained()
        self.train()

    def init_weights(self) -> None:
        """Set every weight as `I3D.init_weights` does."""
        for stream in self.config.streams:
            self.network(stream).init_weights()

    def network(self, stream: str) -> I3D:
        """The I3D of a stream, for loading published weights into (`head=False`)."""
        network = self.streams[stream]
        assert isinstance(network, I3D)
        return network

    def train(self, mode: bool = True) -> TwoStreamBackbone:
        """Set the mode; batch norms that are fixed stay as in evaluation."""
        super().train(mode)
        if self.fixed_norms:
            for norm in _norms(self):
                norm.eval()
        return self

    def forward(
        self, rgb_BLHWC: Tensor | None, flow_BLHWC: Tensor | None = None, length_B: Tensor | None = None
    ) -> Levels:
        """Levels of both streams, as `SPTAD.backbone` describes them."""
        clips = {"rgb": rgb_BLHWC, "flow": flow_BLHWC}
        found: list[Levels] = []
        for stream in self.config.streams:
            stored = clips[stream]
            if stored is None:
                raise ValueError(f"streams: expected {' and '.join(self.config.streams)}, got no {stream}")
            found.append(self._pooled(self.network(stream), stored, length_B))
        return tuple(torch.cat(level, dim=1) for level in zip(*found, strict=True))

    def _pooled(self, network: I3D, stored_BLHWC: Tensor, length_B: Tensor | None) -> Levels:
        """Spatial means of the three stages of one stream; zero at places beyond a window's length."""
        hidden = network_input(stored_BLHWC, network.config)
        size = self.config.crop_size
        check_clips(hidden, self.config.window_frames, size, size, network.config.in_channels)
        if length_B is not None:
            hidden = hidden.masked_fill(~places(length_B, hidden.shape[2], 1)[:, None, :, None, None], 0.0)
        hidden = self._run(network.stem, hidden)
        levels: list[Tensor] = []
        for number, stage in enumerate(network.stages, start=1):
            hidden = self._run(stage, hidden)
            exact = torch.promote_types(hidden.dtype, torch.float32)
            level_BCT = hidden.mean((3, 4), dtype=exact)
            if length_B is not None:
                mask_BT = places(length_B, level_BCT.shape[2], 2**number)
                level_BCT = level_BCT.masked_fill(~mask_BT[:, None], 0.0)
            levels.append(level_BCT)
        return tuple(levels)

    def _run(self, stage: nn.Module, hidden: Tensor) -> Tensor:
        """One stage; in training, without what is inside of it being held."""
        if self.training and self.config.activation_checkpointing and torch.is_grad_enabled():
            contexts = partial(_recomputing, list(_norms(stage)))
            output: Tensor = checkpoint(stage, hidden, use_reentrant=False, context_fn=contexts)
            return output
        result: Tensor = stage(hidden)
        return result

    def _fix_what_is_not_trained(self) -> None:
        if self.config.backbone_lr_scale == 0.0:
            self.requires_grad_(False)
        for stream in self.config.streams:
            self.network(stream).head.requires_grad_(False)
        if self.fixed_norms:
            for norm in _norms(self):
                norm.requires_grad_(False)


def places(length_B: Tensor, size: int, stride: int) -> Tensor:
    """(B, size) bool: places of a level of this stride that see a frame of the window's length."""
    filled_B = torch.div(length_B + stride - 1, stride, rounding_mode="floor")
    return torch.arange(size, device=length_B.device) < filled_B[:, None]


def _norms(module: nn.Module) -> Iterator[nn.BatchNorm3d]:
    return (part for part in module.modules() if isinstance(part, nn.BatchNorm3d))


def _recomputing(
    norms: list[nn.BatchNorm3d],
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Contexts of a stage's first and second run: the second leaves running statistics as they are."""
    return nullcontext(), _statistics_kept(norms)


@contextmanager
def _statistics_kept(norms: Iterable[nn.BatchNorm3d]) -> Iterator[None]:
    momenta = [(norm, norm.momentum) for norm in norms]
    for norm, _ in momenta:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in momenta:
            norm.momentum = momentum
