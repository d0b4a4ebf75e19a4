"""Settings of the Sparse 2D Temporal Adjacent Network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class S2DTANConfig:
    """Sizes and thresholds of S-2D-TAN; the defaults are those of the 2019 winners (section 2.1).

    Raises:
        ValueError: a field outside its range; the message names the field.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: Literal["s_2d_tan"] = "s_2d_tan"
    num_snippets: int = 256
    """Clips N of the grid: features are rescaled to it; divisible by 8."""
    hidden_dim: int = 512
    """Channels of all hidden states."""
    kernel_size: int = 9
    """Side of the map convolutions; odd."""
    num_layers: int = 4
    """Map convolutions."""
    rearranged: bool = True
    """Whether short, medium and long candidates are moved into compact maps of their own (S-2D-TAN), or stay
    on one map with gaps (2D-TAN)."""
    tiou_low: float = 0.5
    """tIoU up to which a candidate's target is 0 (t_min)."""
    tiou_high: float = 1.0
    """tIoU from which it is 1 (t_max); linear in between."""
    class_tiou: float = 0.5
    """tIoU above which a candidate teaches the classifier the class of its truth."""

    def __post_init__(self) -> None:
        if self.num_snippets < 8 or self.num_snippets % 8:
            raise ValueError(
                f"num_snippets: found {self.num_snippets}, expected a multiple of 8 of at least 8"
            )
        for field in ("hidden_dim", "num_layers"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected at least 1")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size: found {self.kernel_size}, expected an odd number of at least 1")
        if not 0.0 <= self.tiou_low < self.tiou_high <= 1.0:
            raise ValueError(
                f"tiou_low: found {self.tiou_low} with tiou_high {self.tiou_high}, expected "
                "0 <= tiou_low < tiou_high <= 1"
            )
        if not 0.0 <= self.class_tiou < 1.0:
            raise ValueError(f"class_tiou: found {self.class_tiou}, expected a number in [0, 1)")
