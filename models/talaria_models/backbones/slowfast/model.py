"""SlowFast networks.

SlowFast Networks for Video Recognition; Feichtenhofer, Fan, Malik, He; 2019; arXiv 1812.03982. One network
with the published variants as settings: the three code bases differ in where the slow pathway's frames lie,
in the lateral connections and in how many bottlenecks see more than one frame.

Letters: B batch, C channels, L frames of a clip, H, W pixels, K classes. A `slow` or `fast` tensor is
(B, C, L, H, W) of that pathway.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from talaria_models.backbones.pixels import check_clips
from talaria_models.backbones.slowfast.config import SlowFastConfig
from talaria_models.base import ClipOutput

Size = tuple[int, int, int]
EXPANSION = 4  # a bottleneck puts out four times its inner channels


class ConvNorm(nn.Module):
    """A 3-D convolution that keeps the size (but for its stride), batch norm and, if asked for, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Size, stride: Size = (1, 1, 1), relu: bool = True
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)
        self.norm = nn.BatchNorm3d(outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return x.relu_() if self.relu else x


class BareConv(nn.Module):
    """The lateral connection of mmaction2: a convolution over time and nothing after it."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: Size) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, (kernel[0] // 2, 0, 0), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class Bottleneck(nn.Module):
    """Time, then space, then channels, around a shortcut; the spatial stride sits in the middle."""

    def __init__(self, inputs: int, inner: int, frames: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * inner
        self.a = ConvNorm(inputs, inner, (frames, 1, 1))
        self.b = ConvNorm(inner, inner, (1, 3, 3), (1, stride, stride))
        self.c = ConvNorm(inner, outputs, (1, 1, 1), relu=False)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = ConvNorm(inputs, outputs, (1, 1, 1), (1, stride, stride), relu=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.c(self.b(self.a(x)))
        return out.relu_()


class Stem(ConvNorm):
    """The first convolution and a max pool: a quarter of the height and width, all frames."""

    def __init__(self, outputs: int, frames: int) -> None:
        super().__init__(3, outputs, (frames, 7, 7), (1, 2, 2))
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pool(super().forward(x))
        return out


class Pathway(nn.Module):
    """A stem and the four stages res2..res5, called one by one because the pathways exchange in between."""

    def __init__(
        self,
        config: SlowFastConfig,
        width: int,
        stem_frames: int,
        temporal_blocks: tuple[int, ...],
        extra: tuple[int, ...],
    ) -> None:
        """Build the pathway.

        Args:
            config: for the number of bottlenecks.
            width: channels of the stem.
            stem_frames: frames seen by the stem.
            temporal_blocks: per stage, how many first bottlenecks see 3 frames.
            extra: per stage, channels that a lateral connection adds to the stage's input.
        """
        super().__init__()
        self.stem = Stem(width, stem_frames)
        self.stages = nn.ModuleList()
        inputs = width
        for stage, num_blocks in enumerate(config.blocks):
            inner = width * 2**stage
            inputs += extra[stage]
            blocks = []
            for block in range(num_blocks):
                frames = 3 if block < temporal_blocks[stage] else 1
                stride = 2 if block == 0 and stage > 0 else 1
                blocks.append(Bottleneck(inputs, inner, frames, stride))
                inputs = EXPANSION * inner
            self.stages.append(nn.Sequential(*blocks))
        self.outputs = inputs


class SlowFast(nn.Module):
    """A slow pathway on few frames, a thin fast one on all of them, and connections from fast to slow."""

    slow_frames_idx: Tensor

    def __init__(
        self, config: SlowFastConfig, num_classes: int, num_frames: int, height: int, width: int
    ) -> None:
        """Build and initialise the network for one size of clip.

        Args:
            config: the network's settings.
            num_classes: size of the logits.
            num_frames: frames of a clip; a multiple of `config.alpha`.
            height: pixels.
            width: pixels.

        Raises:
            ValueError: `num_frames` is no multiple of `config.alpha`.
        """
        super().__init__()
        if num_frames < 1 or num_frames % config.alpha:
            raise ValueError(
                f"alpha: {num_frames} frames of a clip are not a multiple of alpha {config.alpha}"
            )
        self.config = config
        self.clip_size = (num_frames, height, width)
        self.register_buffer("slow_frames_idx", slow_frames(config, num_frames), persistent=False)
        fast_channels = [config.fast_width, *(EXPANSION * config.fast_width * 2**stage for stage in range(3))]
        lateral_channels = tuple(config.lateral_ratio * channels for channels in fast_channels)
        self.slow = Pathway(config, config.width, 1, config.slow_temporal_blocks, lateral_channels)
        self.fast = Pathway(config, config.fast_width, 5, config.fast_temporal_blocks, (0, 0, 0, 0))
        lateral = ConvNorm if config.lateral_norm else BareConv
        self.laterals = nn.ModuleList(
            lateral(inputs, outputs, (config.lateral_kernel, 1, 1), (config.alpha, 1, 1))
            for inputs, outputs in zip(fast_channels, lateral_channels, strict=True)
        )
        self.feature_dim = self.slow.outputs + self.fast.outputs
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.feature_dim, num_classes)
        # As decoded clips lie in memory: 1.3 to 1.5 times faster to train on a CPU.
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight as PySlowFast does.

        | weights | value |
        |---|---|
        | convolutions | normal, variance 2 / (outputs * kernel size) |
        | batch norm | weight 1, bias 0; mean 0, variance 1 |
        | last batch norm of a bottleneck | weight 0: the bottleneck starts as its shortcut |
        | head | normal, deviation 0.01; bias 0 |
        | slow_frames_idx | filled again, for a model that `to_empty` took off the meta device |
        """
        self.slow_frames_idx.copy_(slow_frames(self.config, self.clip_size[0]))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
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
            features_BC: slow, then fast channels, each the mean over time and space; logits_BK.

        Raises:
            ValueError: clips of another size.
        """
        check_clips(clips_BCLHW, *self.clip_size)
        slow = self.slow.stem(clips_BCLHW.index_select(2, self.slow_frames_idx))
        fast = self.fast.stem(clips_BCLHW)
        for lateral, slow_stage, fast_stage in zip(
            self.laterals, self.slow.stages, self.fast.stages, strict=True
        ):
            slow = slow_stage(torch.cat([slow, lateral(fast)], dim=1))
            fast = fast_stage(fast)
        features_BC = torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], dim=1)
        return ClipOutput(features_BC, self.head(self.dropout(features_BC)))


def slow_frames(config: SlowFastConfig, num_frames: int) -> Tensor:
    """(L / alpha,) int64 indices of the frames that the slow pathway sees.

    "ends" is a float32 `torch.linspace`, truncated, on the CPU: the published rule to the last rounding. The
    device is named so that the indices are real even while the weights are built on the meta device.
    """
    if config.slow_frames == "strided":
        return torch.arange(0, num_frames, config.alpha, device="cpu")
    spread = torch.linspace(0, num_frames - 1, num_frames // config.alpha, dtype=torch.float32, device="cpu")
    return spread.long()
