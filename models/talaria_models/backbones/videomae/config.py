"""Settings of a VideoMAE encoder and the published ones by name; free of torch and of transformers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from talaria_models.backbones.settings import check_at_least_one, check_dropout, check_pixels


@dataclass(frozen=True)
class VideoMAEConfig:
    """VideoMAE (Tong et al. 2022), the encoder with its classifier; the defaults are base as on Kinetics.

    The size of a clip is not here: it comes from the clip contract and must be a whole number of tubelets.

    Attributes:
        tubelet_frames: frames of a tubelet; its pixels are projected together.
        patch_size: height and width of a tubelet in pixels.
        width: channels of a token, and of the feature; even, as positions are pairs of sine and cosine.
        depth: blocks.
        num_heads: attention heads; a divisor of `width`.
        mlp_width: hidden channels of a block's perceptron.
        dropout: after each branch of a block, in [0, 1).
        head_dropout: before the classifier, in [0, 1).
        pixel_mean: RGB means in [0, 1].
        pixel_std: RGB deviations in [0, 1].
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: Literal["videomae"] = "videomae"
    tubelet_frames: int = 2
    patch_size: int = 16
    width: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_width: int = 3072
    dropout: float = 0.0
    head_dropout: float = 0.0
    pixel_mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    pixel_std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        check_at_least_one(self, "tubelet_frames", "patch_size", "width", "depth", "num_heads", "mlp_width")
        check_dropout(self.dropout)
        check_dropout(self.head_dropout, "head_dropout")
        check_pixels(self.pixel_mean, self.pixel_std)
        if self.width % 2:
            raise ValueError(f"width: expected an even number, got {self.width}")
        if self.width % self.num_heads:
            raise ValueError(f"num_heads: expected a divisor of width {self.width}, got {self.num_heads}")


BASE = VideoMAEConfig()
"""MCG-NJU/videomae-base-finetuned-kinetics on Hugging Face: clips of 16 x 224 x 224, frames 4 apart."""

SMALL = replace(BASE, width=384, num_heads=6, mlp_width=1536)
"""MCG-NJU/videomae-small-finetuned-kinetics."""

LARGE = replace(BASE, width=1024, depth=24, num_heads=16, mlp_width=4096)
"""MCG-NJU/videomae-large-finetuned-kinetics."""

TINY = VideoMAEConfig(width=64, depth=2, num_heads=4, mlp_width=128)
"""For tests on a CPU."""
