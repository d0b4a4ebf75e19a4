"""Settings that the data room computes with; they live here so that the recipe can hold them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class ClipSpec:
    """How a video becomes clips: part of the feature contract, every field changes the features."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    fps: float
    """Frames per second of the resampled stream."""
    num_frames: int
    """Frames of one clip (L)."""
    stride_frames: int
    """Frames from one snippet to the next."""
    height: int
    """Pixels; the whole frame is resized, whatever its shape."""
    width: int

    def __post_init__(self) -> None:
        """Refuse values with which no clip could be cut.

        Raises:
            ValueError: one line for every field at fault.
        """
        problems = [
            f"{field}: expected a whole number of at least 1, got {getattr(self, field)!r}"
            for field in ("num_frames", "stride_frames", "height", "width")
            if not isinstance(getattr(self, field), int) or getattr(self, field) < 1
        ]
        if not (math.isfinite(self.fps) and self.fps > 0):
            problems.append(f"fps: expected a positive number of frames per second, got {self.fps!r}")
        if problems:
            raise ValueError("\n".join(problems))

    @property
    def stride_s(self) -> float:
        """Seconds that one snippet stands for."""
        return self.stride_frames / self.fps
