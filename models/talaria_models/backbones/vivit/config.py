"""Settings of a ViViT and the published ones by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from talaria_models.backbones.settings import check_at_least_one, check_dropout, check_pixels


@dataclass(frozen=True)
class ViViTConfig:
    """ViViT (Arnab et al. 2021); the defaults are model 1, base, 16x2 as on Kinetics.

    The size of a clip is not here: it comes from the clip contract and must be a whole number of tubelets.

    Attributes:
        attention: "joint" lets every tubelet attend to all others (model 1); "factorised" lets the tubelets
            of the same frames attend to each other, then those frames' summaries over time (model 2).
        tubelet_frames: frames of a tubelet; its pixels are projected together, so that from 2 on motion
            inside it is visible to the first layer.
        patch_size: height and width of a tubelet in pixels.
        width: channels of a token, and of the feature.
        depth: blocks over the tubelets; the spatial ones when factorised.
        temporal_depth: blocks over time; 0 for joint attention, at least 1 when factorised.
        num_heads: attention heads; a divisor of `width`.
        mlp_width: hidden channels of a block's perceptron.
        pooling: what summarises an encoder's tokens: "token" is a learned class token (as published), "mean"
            the mean of the tokens.
        dropout: after the embedding and after each branch of a block, in [0, 1).
        head_dropout: before the classifier, in [0, 1).
        pixel_mean: RGB means in [0, 1].
        pixel_std: RGB deviations in [0, 1]; 0.5 and 0.5 give the published range of -1 to 1.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: Literal["vivit"] = "vivit"
    attention: Literal["joint", "factorised"] = "joint"
    tubelet_frames: int = 2
    patch_size: int = 16
    width: int = 768
    depth: int = 12
    temporal_depth: int = 0
    num_heads: int = 12
    mlp_width: int = 3072
    pooling: Literal["token", "mean"] = "token"
    dropout: float = 0.0
    head_dropout: float = 0.0
    pixel_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    pixel_std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        check_at_least_one(self, "tubelet_frames", "patch_size", "width", "depth", "num_heads", "mlp_width")
        check_dropout(self.dropout)
        check_dropout(self.head_dropout, "head_dropout")
        check_pixels(self.pixel_mean, self.pixel_std)
        if self.width % self.num_heads:
            raise ValueError(f"num_heads: expected a divisor of width {self.width}, got {self.num_heads}")
        if self.attention == "joint" and self.temporal_depth != 0:
            raise ValueError(f"temporal_depth: expected 0 with joint attention, got {self.temporal_depth}")
        if self.attention == "factorised" and self.temporal_depth < 1:
            raise ValueError(
                f"temporal_depth: expected at least 1 with factorised attention, got {self.temporal_depth}"
            )


BASE_16X2 = ViViTConfig()
"""Model 1 of the paper and google/vivit-b-16x2-kinetics400 on Hugging Face: clips of 32 x 224 x 224."""

FACTORISED_BASE_16X2 = ViViTConfig(attention="factorised", temporal_depth=4)
"""Model 2 of the paper as the authors' code sets it up."""

TINY = ViViTConfig(
    attention="factorised",
    tubelet_frames=4,
    patch_size=8,
    width=64,
    depth=2,
    temporal_depth=2,
    num_heads=4,
    mlp_width=128,
    pooling="mean",
    dropout=0.1,
)
"""For demonstrations and tests on a CPU: learns motion from scratch on clips of 16 x 64 x 64."""
