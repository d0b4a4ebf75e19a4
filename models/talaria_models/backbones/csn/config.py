"""Settings of a channel-separated network and the published ones by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from talaria_models.backbones.settings import check_at_least_one, check_dropout, check_pixels

Stages = tuple[int, int, int, int]


@dataclass(frozen=True)
class CSNConfig:
    """CSN (Tran et al. 2019); the defaults are ir-CSN-152 as mmaction2 has it.

    The size of a clip is not here: it comes from the clip contract. The published networks were trained on 32
    frames taken two apart, at 224 x 224.

    Attributes:
        blocks: bottlenecks of the four stages: (3, 4, 6, 3) is R50, (3, 4, 23, 3) R101, (3, 8, 36, 3) R152.
        width: channels of the stem; stage i puts out width * 4 * 2**i.
        interaction: "reduced" replaces the 3 x 3 x 3 convolution of a bottleneck by a depthwise one (ir-CSN);
            "preserved" mixes the channels by a 1 x 1 x 1 convolution before it (ip-CSN).
        norm_eps: added to the variance in batch norm: 1e-3 in mmaction2, 1e-5 in pytorchvideo.
        dropout: before the classifier, in [0, 1).
        pixel_mean: RGB means in [0, 1].
        pixel_std: RGB deviations in [0, 1].
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: Literal["csn"] = "csn"
    blocks: Stages = (3, 8, 36, 3)
    width: int = 64
    interaction: Literal["reduced", "preserved"] = "reduced"
    norm_eps: float = 1e-3
    dropout: float = 0.5
    pixel_mean: tuple[float, float, float] = (0.43216, 0.394666, 0.37645)
    pixel_std: tuple[float, float, float] = (0.22803, 0.22145, 0.216989)

    def __post_init__(self) -> None:
        check_at_least_one(self, "width")
        check_dropout(self.dropout)
        check_pixels(self.pixel_mean, self.pixel_std)
        if min(self.blocks) < 1:
            raise ValueError(f"blocks: expected at least 1 per stage, got {self.blocks}")
        if self.interaction not in ("reduced", "preserved"):
            raise ValueError(f"interaction: expected reduced or preserved, got {self.interaction!r}")
        if not 0.0 < self.norm_eps < 1.0:
            raise ValueError(f"norm_eps: expected a value in (0, 1), got {self.norm_eps}")


IR_R152 = CSNConfig()
"""mmaction2 ircsn_*_r152_*: 29,703,568 parameters with 400 classes."""

IP_R152 = replace(IR_R152, interaction="preserved")
"""mmaction2 ipcsn_*_r152_*: 33,016,592 parameters."""

IR_R50 = replace(IR_R152, blocks=(3, 4, 6, 3))
"""mmaction2 ircsn_*_r50_*: 13,131,152 parameters."""

PYTORCHVIDEO_R101 = replace(
    IR_R152,
    blocks=(3, 4, 23, 3),
    norm_eps=1e-5,
    dropout=0.0,
    pixel_mean=(0.45, 0.45, 0.45),
    pixel_std=(0.225, 0.225, 0.225),
)
"""pytorchvideo csn_r101: 22,213,776 parameters."""

TINY = CSNConfig(blocks=(1, 1, 1, 1), width=8, dropout=0.1)
"""For demonstrations and tests on a CPU: learns motion from scratch on clips of 16 x 64 x 64."""
