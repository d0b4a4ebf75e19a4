"""Settings of the Temporal Context Aggregation Network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

_POSITIVE = (
    "hidden_dim",
    "boundary_dim",
    "segment_dim",
    "groups",
    "num_heads",
    "feedforward_dim",
    "num_training_proposals",
)
_SAMPLES = ("num_start_samples", "num_action_samples", "num_end_samples")
_FINITE = (
    "norm_eps",
    "boundary_ratio",
    "training_boundary_scale",
    "boundary_scale",
    "centre_scale",
    "length_scale",
    "guard_frac",
    "regression_weight",
    "score_weight",
)


@dataclass(frozen=True)
class TCANetConfig:
    """Sizes and conventions of TCANet; defaults of the published code and the 2021 HACS winners.

    Raises:
        ValueError: a field outside its range; the message names the field.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: Literal["tcanet"] = "tcanet"
    thresholds: tuple[float, ...] = (0.5, 0.6, 0.7)
    """tIoU from which a Temporal Boundary Regressor learns to move a segment; one regressor for each."""
    num_encoders: int = 2
    """Local-Global Temporal Encoders before the regressors."""
    num_heads: int = 8
    """Attention heads of an encoder; the first half is local. Divides hidden_dim."""
    window: int = 9
    """Snippets that a local head sees, odd."""
    feedforward_dim: int = 256
    """Hidden channels of an encoder's feed-forward network."""
    dropout: float = 0.1
    """Rate in the encoders."""
    norm_eps: float = 1e-5
    """Epsilon of the encoders' layer norms: 1e-5 with the authors, 1e-6 with mmaction2."""
    hidden_dim: int = 512
    """Channels of the base module and the encoders."""
    boundary_dim: int = 128
    """Channels of the frame-level regressors."""
    segment_dim: int = 512
    """Channels of the segment-level regressors."""
    groups: int = 4
    """Groups of the convolutions; divides the three sizes above and the feature channels."""
    num_start_samples: int = 32
    """Samples of the starting context, a multiple of 4."""
    num_action_samples: int = 64
    """Samples between start and end, a multiple of 4."""
    num_end_samples: int = 32
    """Samples of the ending context, a multiple of 4."""
    boundary_ratio: float = 0.5
    """Length of either context as a share of the segment's."""
    align_corners: bool = False
    """Where samples lie, see `layers/temporal_sampling.py`; true suits code from before torch 1.3."""
    fusion: float = 0.5
    """Share tau of the frame-level regression in the moved segment; the rest is segment-level."""
    training_boundary_scale: float = 1.0
    """Factor of the frame-level offsets while training; the regression aims at a factor of 1."""
    boundary_scale: float = 0.2
    """Factor of the frame-level offsets after training."""
    centre_scale: float = 0.1
    """Factor of the centre's offset, always."""
    length_scale: float = 0.2
    """Factor of the logarithm of the stretch, always."""
    augment_proposals: bool = True
    """In training, later regressors learn from the proposals too, beside what the first one made of them."""
    num_training_proposals: int = 64
    """Best proposals of a video that training uses."""
    guard_frac: float = 1e-7
    """Shortest length in targets and guard of the tIoU, as a fraction of the video; 1e-5 with mmaction2."""
    regression_weight: float = 1.0
    """Weight of the offsets' losses."""
    score_weight: float = 1.0
    """Weight of the tIoU losses."""

    def __post_init__(self) -> None:
        for field in _POSITIVE:
            self._expect(field, getattr(self, field) >= 1, "at least 1")
        self._expect("num_encoders", self.num_encoders >= 0, "at least 0")
        for field in ("hidden_dim", "boundary_dim", "segment_dim"):
            fits = getattr(self, field) % self.groups == 0
            self._expect(field, fits, f"a multiple of groups={self.groups}")
        self._expect("num_heads", self.hidden_dim % self.num_heads == 0, f"a divisor of {self.hidden_dim}")
        self._expect("window", self.window >= 1 and self.window % 2 == 1, "an odd number of at least 1")
        for field in _SAMPLES:
            count = getattr(self, field)
            self._expect(field, count >= 4 and count % 4 == 0, "a multiple of 4, at least 4")
        self._expect("thresholds", len(self.thresholds) >= 1, "at least one")
        self._expect(
            "thresholds", all(0.0 < limit < 1.0 for limit in self.thresholds), "tIoUs between 0 and 1"
        )
        self._expect("dropout", 0.0 <= self.dropout < 1.0, "0 or more, below 1")
        self._expect("fusion", 0.0 <= self.fusion <= 1.0, "0 to 1")
        for field in _FINITE:
            self._expect(field, 0.0 <= getattr(self, field) < float("inf"), "a finite number of at least 0")
        self._expect("guard_frac", self.guard_frac > 0.0, "more than 0")

    def _expect(self, field: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"{field}: found {getattr(self, field)}, expected {expected}")
