"""I3D: Inception-v1, its filters and pools inflated over time.

Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset; Carreira and Zisserman; 2017; arXiv
1705.07750. Layers have sizes as TensorFlow counts them ("same"): ceil(size / stride), whatever the size. The
classifier looks at windows of two places in time, as published; here their mean is the feature of a clip.

Letters: B batch, C channels, L frames of a clip, H, W pixels, T places of the last stage in time, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talaria_models.backbones.i3d.config import STAGES, I3DConfig, Size
from talaria_models.backbones.pixels import check_clips
from talaria_models.base import ClipOutput

NORM_EPS = 1e-3
WINDOW = 2  # places in time that the classifier sees at once


class SamePad(nn.Module):
    """Zeros around a clip, so that a strided layer has ceil(size / stride) places; an odd zero comes last.

    How many follows from the size at hand. Max pools take them, too: all they see has passed a ReLU.
    """

    def __init__(self, kernel: Size, stride: Size) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        around: list[int] = []
        for size, kernel, stride in zip(x.shape[2:], self.kernel, self.stride, strict=True):
            zeros = max(kernel - (size % stride or stride), 0)
            around = [zeros // 2, zeros - zeros // 2, *around]  # F.pad begins with the last axis
        return F.pad(x, around)


class ConvNorm(nn.Module):
    """A 3-D convolution with "same" zeros, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.pad: nn.Module = nn.Identity()
        padding = kernel // 2  # what "same" means at stride 1, at any size
        if stride > 1:
            self.pad, padding = SamePad((kernel, kernel, kernel), (stride, stride, stride)), 0
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)
        self.norm = nn.BatchNorm3d(outputs, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(self.pad(x))).relu_()
        return out


class Inception(nn.Module):
    """Four branches over the same input, side by side: point, two of 3 x 3 x 3, and a pool."""

    def __init__(self, inputs: int, channels: Sequence[int]) -> None:
        super().__init__()
        point, reduced_b, b, reduced_c, c, pooled = channels
        self.branches = nn.ModuleList(
            [
                nn.Sequential(ConvNorm(inputs, point, 1)),
                nn.Sequential(ConvNorm(inputs, reduced_b, 1), ConvNorm(reduced_b, b, 3)),
                nn.Sequential(ConvNorm(inputs, reduced_c, 1), ConvNorm(reduced_c, c, 3)),
                nn.Sequential(nn.MaxPool3d(3, 1, 1), ConvNorm(inputs, pooled, 1)),
            ]
        )
        self.outputs = point + b + c + pooled

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class I3D(nn.Module):
    """A stem, three stages of Inception blocks, the mean over time and space, a linear head."""

    def __init__(self, config: I3DConfig, num_classes: int, num_frames: int, height: int, width: int) -> None:
        """Build and initialise the network for one size of clip, which may be any.

        Args:
            config: the network's settings.
            num_classes: size of the logits.
            num_frames: frames of a clip.
            height: pixels.
            width: pixels.
        """
        super().__init__()
        self.config = config
        self.clip_size = (num_frames, height, width)
        first, second = config.scaled((64, 192))
        self.stem = nn.Sequential(
            ConvNorm(config.in_channels, first, 7, stride=2),
            max_pool((1, 3, 3), (1, 2, 2)),
            ConvNorm(first, first, 1),
            ConvNorm(first, second, 3),
        )
        self.stages = nn.ModuleList()
        self.pyramid_dims: tuple[int, ...] = ()
        channels = second
        for kernel, stride, blocks in STAGES:
            stage = nn.Sequential(max_pool(kernel, stride))
            for block in blocks:
                inception = Inception(channels, config.scaled(block))
                stage.append(inception)
                channels = inception.outputs
            self.stages.append(stage)
            self.pyramid_dims += (channels,)
        self.feature_dim = channels
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.feature_dim, num_classes)
        # As decoded clips lie in memory: TINY trains 1.4 times as fast on a CPU, the published one as fast.
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight for training from scratch.

        | weights | value |
        |---|---|
        | convolutions | normal, variance 2 / (inputs * kernel size) |
        | batch norm | weight 1, bias 0; mean 0, variance 1 |
        | head | normal, deviation 0.01; bias 0 |
        """
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm3d):
                module.reset_parameters()
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def pyramid(self, clips_BCLHW: Tensor) -> tuple[Tensor, ...]:
        """What the three stages put out: Mixed_3c, Mixed_4f and Mixed_5c, three rates of the same clip.

        Args:
            clips_BCLHW: as for `forward`.

        Returns:
            Three (B, C, L, H, W) with `pyramid_dims` channels; L is divided by 2, 4 and 8, H and W by 8, 16
            and 32, all rounded up.

        Raises:
            ValueError: clips of another size.
        """
        check_clips(clips_BCLHW, *self.clip_size, channels=self.config.in_channels)
        x = self.stem(clips_BCLHW)
        levels: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return tuple(levels)

    def forward(self, clips_BCLHW: Tensor) -> ClipOutput:
        """Features and logits of normalised clips.

        Args:
            clips_BCLHW: (B, C, L, H, W) of the size given to the constructor: colours normalised with the
                config's `pixel_mean` and `pixel_std`, or flow as its `modality` describes it.

        Returns:
            features_BC: the mean of the windows of the last stage; logits_BK, the published mean of logits
                over windows, as the head is linear.

        Raises:
            ValueError: clips of another size.
        """
        features_BC = windows(self.pyramid(clips_BCLHW)[-1]).mean(2)
        return ClipOutput(features_BC, self.head(self.dropout(features_BC)))


def max_pool(kernel: Size, stride: Size) -> nn.Sequential:
    """A max pool with "same" zeros."""
    return nn.Sequential(SamePad(kernel, stride), nn.MaxPool3d(kernel, stride))


def windows(last_BCTHW: Tensor) -> Tensor:
    """Means over space and every two neighbouring places in time: what the published classifier is given.

    At least float32 under autocast, too: a mean rounded to bfloat16 would keep 8 of the 11 bits stored.

    Args:
        last_BCTHW: the last stage.

    Returns:
        (B, C, T - 1); (B, C, 1) of a clip with one place in time.
    """
    mean_BCT = last_BCTHW.mean((3, 4), dtype=torch.promote_types(last_BCTHW.dtype, torch.float32))
    return F.avg_pool1d(mean_BCT, min(WINDOW, mean_BCT.shape[2]), stride=1)
