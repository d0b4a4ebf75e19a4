"""Settings of the video classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class ClassifierConfig:
    """Size, regularisation and loss of the video classifier.

    Raises:
        ValueError: a field outside its range; the message names the field.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: Literal["classifier"] = "classifier"
    head: Literal["pooling", "transformer"] = "pooling"
    """What sees the snippets first: `pooling` takes mean and maximum as they are, `transformer` lets them
    attend to each other before."""
    hidden_dim: int = 256
    """Channels of the hidden layer, and of a snippet inside the transformer."""
    dropout: float = 0.5
    """Share of pooled channels and of hidden units dropped in training, in [0, 1)."""
    num_layers: int = 1
    """Blocks of the transformer; of no effect with pooling, like the three fields below."""
    num_heads: int = 4
    """Attention heads; divides hidden_dim."""
    mlp_dim: int = 512
    """Hidden channels of a block's perceptron."""
    block_dropout: float = 0.1
    """Share of a block's results dropped in training, in [0, 1)."""
    bnm_weight: float = 0.0
    """Weight of the Batch Nuclear-norm term (layers/nuclear_norm.py); 0 leaves it out. It is taken over each
    micro-batch: with optim.micro_batch_size 1 it asks for decided scores, but not for diverse ones."""

    def __post_init__(self) -> None:
        for field in ("hidden_dim", "num_layers", "num_heads", "mlp_dim"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected at least 1")
        for field in ("dropout", "block_dropout"):
            if not 0.0 <= getattr(self, field) < 1.0:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected 0 <= {field} < 1")
        if self.head == "transformer" and self.hidden_dim % self.num_heads:
            raise ValueError(
                f"num_heads: found {self.num_heads}, expected a divisor of hidden_dim {self.hidden_dim}"
            )
        if not 0.0 <= self.bnm_weight < float("inf"):
            raise ValueError(f"bnm_weight: found {self.bnm_weight}, expected a finite number of at least 0")
