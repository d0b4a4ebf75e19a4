"""Channel-separated convolutional networks.

Video Classification with Channel-Separated Convolutional Networks; Tran, Wang, Torresani, Feiszli; 2019;
arXiv 1904.02811. A residual network over space and time in which, after the stem, the 3 x 3 x 3 convolutions
look at one channel each (depthwise) and channels meet in 1 x 1 x 1 convolutions alone. The
interaction-reduced and the interaction-preserved bottleneck are one class; mmaction2's and pytorchvideo's
networks differ by settings.

Letters: B batch, C channels, L frames of a clip, H, W pixels, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from talaria_models.backbones.csn.config import CSNConfig
from talaria_models.backbones.pixels import check_clips
from talaria_models.base import ClipOutput

Size = tuple[int, int, int]
EXPANSION = 4  # a bottleneck puts out four times its inner channels
POINT: Size = (1, 1, 1)


class ConvNorm(nn.Module):
    """A 3-D convolution that keeps the size (but for its stride), batch norm and, if asked for, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Size,
        eps: float,
        *,
        stride: Size = POINT,
        depthwise: bool = False,
        relu: bool = True,
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        groups = inputs if depthwise else 1
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm3d(outputs, eps=eps)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return x.relu_() if self.relu else x


class Bottleneck(nn.Module):
    """Fewer channels, space and time inside each of them, more channels, around a shortcut.

    The stride sits in the depthwise convolution. `mix` lets the channels meet once more before it and is not
    followed by ReLU: its batch norm and the depthwise convolution factorise one convolution.
    Source: figure 2; b is the interaction-preserved bottleneck, c the interaction-reduced one.
    """

    def __init__(self, config: CSNConfig, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs, eps = EXPANSION * inner, config.norm_eps
        strides = (stride, stride, stride)
        self.a = ConvNorm(inputs, inner, POINT, eps)
        self.mix: nn.Module = nn.Identity()
        if config.interaction == "preserved":
            self.mix = ConvNorm(inner, inner, POINT, eps, relu=False)
        self.b = ConvNorm(inner, inner, (3, 3, 3), eps, stride=strides, depthwise=True)
        self.c = ConvNorm(inner, outputs, POINT, eps, relu=False)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = ConvNorm(inputs, outputs, POINT, eps, stride=strides, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.c(self.b(self.mix(self.a(x))))
        return out.relu_()


class CSN(nn.Module):
    """A stem, four stages of bottlenecks, the mean over time and space, a linear head."""

    def __init__(self, config: CSNConfig, num_classes: int, num_frames: int, height: int, width: int) -> None:
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
        self.stem = ConvNorm(3, config.width, (3, 7, 7), config.norm_eps, stride=(1, 2, 2))
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.stages = nn.ModuleList()
        self.feature_dim = config.width
        for stage in range(len(config.blocks)):
            self.stages.append(self._stage(stage))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.feature_dim, num_classes)
        # As decoded clips lie in memory: TINY trains a third faster on a CPU, R50 at the same speed.
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.init_weights()

    def _stage(self, stage: int) -> nn.Sequential:
        """Bottlenecks on the channels so far; all stages but the first halve time, height and width."""
        inner = self.config.width * 2**stage
        blocks = []
        for block in range(self.config.blocks[stage]):
            stride = 2 if block == 0 and stage > 0 else 1
            blocks.append(Bottleneck(self.config, self.feature_dim, inner, stride))
            self.feature_dim = EXPANSION * inner
        return nn.Sequential(*blocks)

    def init_weights(self) -> None:
        """Set every weight for training from scratch.

        | weights | value |
        |---|---|
        | convolutions | normal, variance 2 / (outputs of a group * kernel size); a depthwise group has one |
        | batch norm | weight 1, bias 0; mean 0, variance 1 |
        | last batch norm of a bottleneck | weight 0: the bottleneck starts as its shortcut |
        | head | normal, deviation 0.01; bias 0 |
        """
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                fan_out = module.weight[:, 0].numel() // module.groups
                nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
            elif isinstance(module, nn.BatchNorm3d):
                module.reset_parameters()
        for module in self.modules():
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.c.norm.weight)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, clips_BCLHW: Tensor) -> ClipOutput:
        """Features and logits of normalised clips.

        Args:
            clips_BCLHW: (B, 3, L, H, W) of the size given to the constructor, normalised with the config's
                `pixel_mean` and `pixel_std`.

        Returns:
            features_BC: the mean of the last stage over time and space, at least float32 under autocast, too;
                logits_BK.

        Raises:
            ValueError: clips of another size.
        """
        check_clips(clips_BCLHW, *self.clip_size)
        x = self.pool(self.stem(clips_BCLHW))
        for stage in self.stages:
            x = stage(x)
        # A mean rounded to bfloat16 would keep 8 of the 11 bits that are stored.
        features_BC = x.mean((2, 3, 4), dtype=torch.promote_types(x.dtype, torch.float32))
        return ClipOutput(features_BC, self.head(self.dropout(features_BC)))
