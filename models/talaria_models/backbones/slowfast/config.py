"""Settings of a SlowFast network and the published ones by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from talaria_models.backbones.settings import check_at_least_one, check_dropout, check_pixels

Stages = tuple[int, int, int, int]


@dataclass(frozen=True)
class SlowFastConfig:
    """SlowFast (Feichtenhofer et al. 2019); the defaults are R50 8x8 on Kinetics as PySlowFast has it.

    The number of frames of a clip is not here: it comes from the clip contract. "8x8" means clips of 32
    frames (two apart in the video) of which the slow pathway sees 8.

    Attributes:
        blocks: bottlenecks of the stages res2..res5: (3, 4, 6, 3) is R50, (3, 4, 23, 3) is R101.
        width: channels of the slow stem; stage i puts out width * 4 * 2**i.
        beta_inv: the fast pathway has 1 / beta_inv of the slow one's channels.
        alpha: the fast pathway has alpha times the slow one's frames.
        slow_temporal_blocks: how many first bottlenecks of each slow stage look at 3 frames, not 1.
        fast_temporal_blocks: the same for the fast pathway.
        lateral_kernel: frames seen by a fast-to-slow connection; odd.
        lateral_ratio: a connection puts out lateral_ratio times the channels of the fast pathway.
        lateral_norm: batch norm and ReLU after a connection; mmaction2 has neither.
        slow_frames: "ends" spreads the slow frames from the first to the last one (PySlowFast, pytorchvideo);
            "strided" takes every alpha-th from the first (mmaction2).
        dropout: before the classifier, in [0, 1).
        pixel_mean: RGB means in [0, 1].
        pixel_std: RGB deviations in [0, 1].
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: Literal["slowfast"] = "slowfast"
    blocks: Stages = (3, 4, 6, 3)
    width: int = 64
    beta_inv: int = 8
    alpha: int = 4
    slow_temporal_blocks: Stages = (0, 0, 6, 3)
    fast_temporal_blocks: Stages = (3, 4, 6, 3)
    lateral_kernel: int = 7
    lateral_ratio: int = 2
    lateral_norm: bool = True
    slow_frames: Literal["ends", "strided"] = "ends"
    dropout: float = 0.5
    pixel_mean: tuple[float, float, float] = (0.45, 0.45, 0.45)
    pixel_std: tuple[float, float, float] = (0.225, 0.225, 0.225)

    def __post_init__(self) -> None:
        check_at_least_one(self, "width", "beta_inv", "alpha", "lateral_ratio")
        check_dropout(self.dropout)
        check_pixels(self.pixel_mean, self.pixel_std)
        if self.width % self.beta_inv:
            raise ValueError(f"beta_inv: expected a divisor of width {self.width}, got {self.beta_inv}")
        if self.lateral_kernel < 1 or self.lateral_kernel % 2 == 0:
            raise ValueError(f"lateral_kernel: expected an odd number of frames, got {self.lateral_kernel}")
        self._check_blocks()

    def _check_blocks(self) -> None:
        if min(self.blocks) < 1:
            raise ValueError(f"blocks: expected at least 1 per stage, got {self.blocks}")
        for field in ("slow_temporal_blocks", "fast_temporal_blocks"):
            counts: Stages = getattr(self, field)
            if any(not 0 <= count <= limit for count, limit in zip(counts, self.blocks, strict=True)):
                raise ValueError(f"{field}: expected 0 to blocks {self.blocks} per stage, got {counts}")

    @property
    def fast_width(self) -> int:
        """Channels of the fast stem."""
        return self.width // self.beta_inv


R50_8X8 = SlowFastConfig()
"""PySlowFast SLOWFAST_8x8_R50 and pytorchvideo slowfast_r50: 34,566,488 parameters with 400 classes."""

R101_8X8 = replace(
    R50_8X8,
    blocks=(3, 4, 23, 3),
    slow_temporal_blocks=(0, 0, 23, 3),
    fast_temporal_blocks=(3, 4, 23, 3),
    lateral_kernel=5,
)
"""PySlowFast SLOWFAST_8x8_R101_101_101 and pytorchvideo slowfast_r101: 62,826,968 parameters."""

R101_50_50_8X8 = replace(R101_8X8, slow_temporal_blocks=(0, 0, 6, 3), fast_temporal_blocks=(3, 4, 6, 3))
"""PySlowFast SLOWFAST_8x8_R101_50_50: temporal kernels in the first 6 bottlenecks of res4 only."""

MMACTION2_R50_8X8 = replace(
    R50_8X8,
    lateral_norm=False,
    slow_frames="strided",
    pixel_mean=(0.485, 0.456, 0.406),
    pixel_std=(0.229, 0.224, 0.225),
)
"""mmaction2 slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb: 34,565,560 parameters."""

MMACTION2_R101_8X8 = replace(
    MMACTION2_R50_8X8,
    blocks=(3, 4, 23, 3),
    slow_temporal_blocks=(0, 0, 23, 3),
    fast_temporal_blocks=(3, 4, 23, 3),
)
"""mmaction2 slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb: 62,912,312 parameters."""

TINY = SlowFastConfig(
    blocks=(1, 1, 1, 1),
    width=8,
    beta_inv=4,
    slow_temporal_blocks=(0, 0, 1, 1),
    fast_temporal_blocks=(1, 1, 1, 1),
    lateral_kernel=5,
    dropout=0.1,
)
"""For demonstrations and tests on a CPU: learns motion from scratch on clips of 16 x 64 x 64."""
