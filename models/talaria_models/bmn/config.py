"""Settings of the Boundary-Matching Network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class BMNConfig:
    """Sizes and conventions of BMN; the defaults are those of the published ActivityNet models.

    Raises:
        ValueError: a field outside its range; the message names the field.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: Literal["bmn"] = "bmn"
    num_snippets: int = 100
    """Length T of the grid: features are rescaled to it; the map has T x T cells."""
    hidden_dim_1d: int = 256
    """Channels of the temporal convolutions."""
    hidden_dim_2d: int = 128
    """Channels of the map convolutions."""
    hidden_dim_3d: int = 512
    """Channels after the samples of a candidate are mixed."""
    groups: int = 4
    """Groups of the first temporal convolutions; divides hidden_dim_1d and the feature channels."""
    lgte_layers: int = 0
    """Local-Global Temporal Encoders after the temporal convolutions; the 2021 winners used 2."""
    lgte_heads: int = 8
    """Heads of each encoder, the first half of them local; divides hidden_dim_1d."""
    lgte_window: int = 9
    """Snippets that a local head sees around each snippet; odd."""
    lstm_layers: int = 0
    """Layers of a bidirectional LSTM after those, for an even hidden_dim_1d; the 2020 winners used 1 or 2."""
    num_samples: int = 32
    """Samples per candidate segment."""
    num_samples_per_bin: int = 3
    """Interpolated points averaged into one sample."""
    boundary_ratio: float = 0.5
    """Context on either side of a candidate, as a share of its length."""
    sampling: Literal["start_end", "duration_start"] = "start_end"
    """Sampled span and axes of the map convolutions: `start_end` is JJBOY's, `duration_start` mmaction2's."""
    convention: Literal["jjboy", "mmaction2"] = "jjboy"
    """Whose boundary labels and class balance the loss follows; see README.md in this folder."""
    tem_weight: float = 1.0
    """Weight of the startness and endness loss."""
    regression_weight: float = 10.0
    """Weight of the map's regression loss."""
    classification_weight: float = 1.0
    """Weight of the map's classification loss."""

    def __post_init__(self) -> None:
        for field in ("num_snippets", "hidden_dim_1d", "hidden_dim_2d", "hidden_dim_3d", "groups"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected at least 1")
        if self.num_snippets < 2:
            raise ValueError(f"num_snippets: found {self.num_snippets}, expected at least 2")
        if self.hidden_dim_1d % self.groups:
            raise ValueError(
                f"hidden_dim_1d: found {self.hidden_dim_1d}, expected a multiple of groups={self.groups}"
            )
        self._check_context()
        if (
            self.num_samples < 1
            or self.num_samples_per_bin < 1
            or self.num_samples * self.num_samples_per_bin < 2
        ):
            raise ValueError(
                f"num_samples: found {self.num_samples} with num_samples_per_bin {self.num_samples_per_bin}, "
                "expected at least two points per candidate"
            )
        for field in ("boundary_ratio", "tem_weight", "regression_weight", "classification_weight"):
            if not 0.0 <= getattr(self, field) < float("inf"):
                raise ValueError(
                    f"{field}: found {getattr(self, field)}, expected a finite number of at least 0"
                )

    def _check_context(self) -> None:
        """The settings of the encoders and of the LSTM."""
        for field in ("lgte_layers", "lstm_layers"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected at least 0")
        if self.lgte_heads < 1 or (self.lgte_layers and self.hidden_dim_1d % self.lgte_heads):
            raise ValueError(
                f"lgte_heads: found {self.lgte_heads}, expected a divisor of hidden_dim_1d="
                f"{self.hidden_dim_1d}"
            )
        if self.lgte_window < 1 or self.lgte_window % 2 == 0:
            raise ValueError(f"lgte_window: found {self.lgte_window}, expected an odd number of at least 1")
        if self.lstm_layers and self.hidden_dim_1d % 2:
            raise ValueError(
                f"hidden_dim_1d: found {self.hidden_dim_1d}, expected an even number: each direction of the "
                f"LSTM (lstm_layers={self.lstm_layers}) has half of them"
            )
