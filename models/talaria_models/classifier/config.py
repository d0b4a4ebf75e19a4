"""Settings of the video classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class ClassifierConfig:
    """Size and regularisation of the video classifier.

    Raises:
        ValueError: a field outside its range; the message names the field.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: Literal["classifier"] = "classifier"
    hidden_dim: int = 256
    """Channels of the hidden layer."""
    dropout: float = 0.5
    """Share of pooled channels and of hidden units dropped in training, in [0, 1)."""

    def __post_init__(self) -> None:
        if self.hidden_dim < 1:
            raise ValueError(f"hidden_dim: found {self.hidden_dim}, expected at least 1")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout: found {self.dropout}, expected 0 <= dropout < 1")
