"""Settings of the Refine Network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class RefineNetworkConfig:
    """Sizes and switches; every block of the report's table 2 can be left out.

    The report states the blocks, three modules and their thresholds; the sizes are ours (README.md says why).

    Raises:
        ValueError: a field outside its range; the message names the field.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: Literal["refine_network"] = "refine_network"
    hidden_dim: int = 256
    """Channels of the snippet sequence and of the pooled bins; even, a multiple of transformer_heads."""
    head_dim: int = 512
    """Units of the hidden layer that reads all bins of a proposal."""
    transformer: bool = True
    """Self-attention over the whole video before pooling."""
    transformer_layers: int = 2
    """Encoder layers, when `transformer` is on."""
    transformer_heads: int = 8
    """Attention heads per layer."""
    transformer_feedforward_dim: int = 1024
    """Units of each layer's feed-forward part."""
    positions: Literal["sinusoidal", "none"] = "sinusoidal"
    """What attention knows about time; `none` sees the snippets as a set."""
    action_score: bool = True
    """Predict, per snippet, whether there is an action; supervised, it shapes the features."""
    bi_lstm: bool = True
    """Bidirectional LSTM along the bins of each proposal."""
    lstm_layers: int = 1
    """Layers of that LSTM, when `bi_lstm` is on."""
    non_local: bool = True
    """Non-local block among the bins of each proposal."""
    num_bins: int = 16
    """Bins N that a proposal and its context are pooled into."""
    num_samples_per_bin: int = 4
    """Interpolated points averaged into one bin."""
    context_ratio: float = 0.5
    """Context pooled on either side of a proposal, as a share of its length."""
    dropout: float = 0.1
    """Share of units dropped in the transformer and in the heads while training, in [0, 1)."""
    tiou_thresholds: tuple[float, ...] = (0.5, 0.6, 0.7)
    """One Refine Module each: the tIoU from which its input counts as positive; falling ones are refused."""
    action_weight: float = 1.0
    """Weight of the action score's loss."""
    score_weight: float = 10.0
    """Weight of the tIoU loss of every module."""
    offset_weight: float = 1.0
    """Weight of the offset loss of every module."""

    def __post_init__(self) -> None:
        for field in _COUNTS:
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected at least 1")
        if self.hidden_dim % 2 or self.hidden_dim % self.transformer_heads:
            raise ValueError(
                f"hidden_dim: found {self.hidden_dim}, expected an even multiple of "
                f"transformer_heads={self.transformer_heads}"
            )
        if self.positions not in ("sinusoidal", "none"):
            raise ValueError(f"positions: found {self.positions!r}, expected sinusoidal or none")
        for field in ("context_ratio", "action_weight", "score_weight", "offset_weight"):
            if not 0.0 <= getattr(self, field) < math.inf:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected a finite number from 0")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout: found {self.dropout}, expected 0 <= dropout < 1")
        self._check_thresholds()

    def _check_thresholds(self) -> None:
        thresholds = self.tiou_thresholds
        inside = all(0.0 < threshold <= 1.0 for threshold in thresholds)
        if not thresholds or not inside or list(thresholds) != sorted(thresholds):
            raise ValueError(
                f"tiou_thresholds: found {list(thresholds)}, expected at least one, in (0, 1] and not falling"
            )


_COUNTS = (
    "hidden_dim",
    "head_dim",
    "transformer_layers",
    "transformer_heads",
    "transformer_feedforward_dim",
    "lstm_layers",
    "num_bins",
    "num_samples_per_bin",
)
