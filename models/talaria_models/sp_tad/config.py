"""Settings of SP-TAD."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from talaria_models.backbones.i3d.config import I3DConfig

BACKBONE_LEVELS = 3
"""Levels that the backbone itself has, at a half, a quarter and an eighth of the frames."""


@dataclass(frozen=True)
class SPTADConfig:
    """Sizes, windows and weights; the defaults are those for THUMOS14 (Wu et al. 2021, section 4.1).

    What the paper leaves open is listed in README.md of this folder.

    Raises:
        ValueError: a field outside its range; the message names the field.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: Literal["sp_tad"] = "sp_tad"
    fps: float = 10.0
    """Frames a second at which videos are resampled."""
    frame_size: int = 112
    """Height and width to which frames are resized."""
    crop_size: int = 96
    """Height and width of what the network sees: a random crop in training, the central one otherwise."""
    window_frames: int = 256
    """Frames of a window, a multiple of 2 ** num_levels; 768 for ActivityNet, each video resized to one."""
    train_stride: int = 30
    """Frames between neighbouring windows in training."""
    infer_stride: int = 128
    """Frames between neighbouring windows in inference."""
    streams: tuple[Literal["rgb", "flow"], ...] = ("rgb", "flow")
    """What the network sees: colours, optical flow, or both, each by an I3D of its own."""
    backbone_width: int = 64
    """Channels of each I3D's stem, a multiple of 8; 64 is published, 8 serves a CPU."""
    freeze_norms: bool = True
    """Keep the backbone's batch norms as they are: right for published weights, wrong from scratch."""
    backbone_lr_scale: float = 1.0
    """Learning rate of the backbone over that of the rest; 0 makes it a fixed feature extractor (table 4)."""
    activation_checkpointing: bool = True
    """In training compute each backbone stage a second time in place of holding all that is in it."""
    num_levels: int = 4
    """Levels of the temporal pyramid; the first three are the backbone's, each further one is max-pooled."""
    hidden_dim: int = 256
    """Channels d of the pyramid and of proposal features."""
    num_proposals: int = 50
    """Learned proposals N of a window; more than a window has actions. 100 for ActivityNet."""
    num_stages: int = 4
    """Detection heads one after the other, each with weights of its own (table 6)."""
    attention_heads: int = 8
    """Heads of the attention between proposals; divides hidden_dim."""
    dynamic_dim: int = 64
    """Channels d_h between the two layers that a proposal feature produces."""
    num_bins: int = 16
    """Places T' into which the features of a segment are aligned."""
    num_samples_per_bin: int = 2
    """Interpolated points averaged into one place."""
    expansion: float = 5.0
    """Eta: segments are read with their length over eta more on either side."""
    feedforward_dim: int = 2048
    """Units of each head's feed-forward part."""
    dropout: float = 0.0
    """Share of units dropped in the heads while training, in [0, 1)."""
    class_prior: float = 0.01
    """Probability that an untrained detection head gives every class, in (0, 1)."""
    focal_alpha: float = 0.25
    """Weight of positives in the focal loss, 1 - alpha that of negatives."""
    focal_gamma: float = 2.0
    """Power by which easy ones weigh less in the focal loss."""
    class_weight: float = 2.0
    """Weight of the focal loss."""
    l1_weight: float = 5.0
    """Weight of the distance of starts and ends, fractions of the window."""
    giou_weight: float = 2.0
    """Weight of the generalised tIoU loss."""
    clip_weight: float = 1.0
    """Weight of the action classification head's loss."""
    match_class_weight: float = 2.0
    """Weight of the focal cost in the matching."""
    match_l1_weight: float = 5.0
    """Weight of the distance of starts and ends in the matching."""
    match_giou_weight: float = 2.0
    """Weight of the generalised tIoU in the matching."""

    def __post_init__(self) -> None:
        for field in _COUNTS:
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected at least 1")
        for field in _WEIGHTS:
            if not 0.0 <= getattr(self, field) < math.inf:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected a finite number from 0")
        for field in ("fps", "expansion"):
            if not 0.0 < getattr(self, field) < math.inf:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected a finite number above 0")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout: found {self.dropout}, expected 0 <= dropout < 1")
        for field in ("class_prior", "focal_alpha"):
            if not 0.0 < getattr(self, field) < 1.0:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected a number between 0 and 1")
        self._check_sizes()
        self._check_backbone()

    def _check_sizes(self) -> None:
        if self.crop_size > self.frame_size:
            raise ValueError(
                f"crop_size: found {self.crop_size}, expected at most frame_size={self.frame_size}"
            )
        if self.num_levels < BACKBONE_LEVELS:
            raise ValueError(f"num_levels: found {self.num_levels}, expected at least {BACKBONE_LEVELS}")
        if self.window_frames % 2**self.num_levels:
            raise ValueError(
                f"window_frames: found {self.window_frames}, expected a multiple of {2**self.num_levels} "
                f"for num_levels={self.num_levels}"
            )
        for field in ("train_stride", "infer_stride"):
            if getattr(self, field) > self.window_frames:
                raise ValueError(
                    f"{field}: found {getattr(self, field)}, expected at most "
                    f"window_frames={self.window_frames}: frames between windows would be seen by none"
                )
        if self.hidden_dim % self.attention_heads:
            raise ValueError(
                f"hidden_dim: found {self.hidden_dim}, expected a multiple of "
                f"attention_heads={self.attention_heads}"
            )

    def _check_backbone(self) -> None:
        known = all(stream in ("rgb", "flow") for stream in self.streams)
        if not self.streams or not known or len(set(self.streams)) < len(self.streams):
            raise ValueError(f"streams: found {list(self.streams)}, expected rgb, flow or both, each once")
        if self.backbone_width % 8:
            raise ValueError(f"backbone_width: found {self.backbone_width}, expected a multiple of 8")

    def i3d(self, stream: Literal["rgb", "flow"]) -> I3DConfig:
        """The backbone of one stream."""
        return I3DConfig(modality=stream, width=self.backbone_width)


_COUNTS = (
    "frame_size",
    "crop_size",
    "window_frames",
    "train_stride",
    "infer_stride",
    "backbone_width",
    "hidden_dim",
    "num_proposals",
    "num_stages",
    "attention_heads",
    "dynamic_dim",
    "num_bins",
    "num_samples_per_bin",
    "feedforward_dim",
)
_WEIGHTS = (
    "backbone_lr_scale",
    "focal_gamma",
    "class_weight",
    "l1_weight",
    "giou_weight",
    "clip_weight",
    "match_class_weight",
    "match_l1_weight",
    "match_giou_weight",
)
