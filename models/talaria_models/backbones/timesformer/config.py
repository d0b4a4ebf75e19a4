"""Settings of a TimeSformer and the published ones by name; free of torch and of transformers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from talaria_models.backbones.settings import check_at_least_one, check_dropout, check_pixels

ATTENTIONS = ("divided_space_time", "joint_space_time", "space_only")


@dataclass(frozen=True)
class TimeSformerConfig:
    """TimeSformer (Bertasius et al. 2021); the defaults are the divided one, base, as on Kinetics.

    The size of a clip is not here: it comes from the clip contract. Frames must be square.

    Attributes:
        attention: "divided_space_time" attends to the same patch of all frames, then to all patches of the
            same frame; "joint_space_time" to all patches of all frames; "space_only" to those of one frame,
            and the class tokens of the frames are averaged at the end.
        frame_step: every how many frames of a clip one is seen. Clips of 8 frames 32 apart overlap by far:
            4 on clips of 32 frames 8 apart gives a snippet every 8 frames.
        patch_size: height and width of a patch in pixels.
        width: channels of a token, and of the feature.
        depth: blocks.
        num_heads: attention heads; a divisor of `width`.
        mlp_width: hidden channels of a block's perceptron.
        dropout: after the embedding and in each branch of a block, in [0, 1).
        head_dropout: before the classifier, in [0, 1).
        pixel_mean: RGB means in [0, 1].
        pixel_std: RGB deviations in [0, 1].
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: Literal["timesformer"] = "timesformer"
    attention: Literal["divided_space_time", "joint_space_time", "space_only"] = "divided_space_time"
    frame_step: int = 1
    patch_size: int = 16
    width: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_width: int = 3072
    dropout: float = 0.0
    head_dropout: float = 0.0
    pixel_mean: tuple[float, float, float] = (0.45, 0.45, 0.45)
    pixel_std: tuple[float, float, float] = (0.225, 0.225, 0.225)

    def __post_init__(self) -> None:
        check_at_least_one(self, "frame_step", "patch_size", "width", "depth", "num_heads", "mlp_width")
        check_dropout(self.dropout)
        check_dropout(self.head_dropout, "head_dropout")
        check_pixels(self.pixel_mean, self.pixel_std)
        if self.attention not in ATTENTIONS:
            raise ValueError(f"attention: expected one of {', '.join(ATTENTIONS)}, got {self.attention!r}")
        if self.width % self.num_heads:
            raise ValueError(f"num_heads: expected a divisor of width {self.width}, got {self.num_heads}")


DIVIDED_BASE = TimeSformerConfig()
"""The authors' TimeSformer_divST_8x32_224_* and facebook/timesformer-base-finetuned-* on Hugging Face: clips
of 8 x 224 x 224, frames 32 apart. 121,566,352 parameters with 400 classes."""

JOINT_BASE = replace(DIVIDED_BASE, attention="joint_space_time")
"""The authors' TimeSformer_jointST_*: 86,112,400 parameters."""

SPACE_ONLY_BASE = replace(DIVIDED_BASE, attention="space_only")
"""The authors' TimeSformer_spaceOnly_*: 86,106,256 parameters."""

MMACTION2_DIVIDED_BASE = replace(DIVIDED_BASE, pixel_mean=(0.5, 0.5, 0.5), pixel_std=(0.5, 0.5, 0.5))
"""mmaction2 timesformer_divST_8xb8-8x32x1-15e_*: the same network on colours from -1 to 1."""

TINY = TimeSformerConfig(width=64, depth=2, num_heads=4, mlp_width=128)
"""For tests on a CPU."""
