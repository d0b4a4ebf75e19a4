"""Settings that the data room computes with; they live here so that the recipe can hold them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from talaria.config.fingerprint import UNLESS_NONE

_MOST_CLASSES = 12
_LEAST_FLOW_PIXELS = 16  # of each side; with fewer OpenCV 5's DIS reads beyond its pyramid and crashes


@dataclass(frozen=True)
class FlowSpec:
    """Optical flow in place of colours: from each frame of the resampled, resized stream to the next."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    method: Literal["dis", "tvl1"] = "dis"
    """Dense inverse search, or the slower TV-L1 of the published I3D, which needs opencv-contrib."""
    bound_px: float = 20.0
    """Displacements are cut to this many pixels of the resized frame; the published I3D's are cut to 20."""

    def __post_init__(self) -> None:
        """Refuse what no flow can be computed with.

        Raises:
            ValueError: one line for every field at fault.
        """
        problems = []
        if self.method not in ("dis", "tvl1"):
            problems.append(f"method: expected dis or tvl1, got {self.method!r}")
        if not (math.isfinite(self.bound_px) and self.bound_px > 0):
            problems.append(f"bound_px: expected a positive number of pixels, got {self.bound_px!r}")
        if problems:
            raise ValueError("\n".join(problems))


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
    flow: FlowSpec | None = field(default=None, metadata=UNLESS_NONE)
    """Clips of optical flow; null makes clips of colours."""

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
        elif not problems and self.flow is not None:
            problems += [
                f"{side}: expected at least {_LEAST_FLOW_PIXELS} pixels for flow, got {getattr(self, side)}"
                for side in ("height", "width")
                if getattr(self, side) < _LEAST_FLOW_PIXELS
            ]
        if problems:
            raise ValueError("\n".join(problems))

    @property
    def channels(self) -> int:
        """Numbers of a pixel: red, green and blue, or motion to the right and down."""
        return 3 if self.flow is None else 2

    @property
    def stride_s(self) -> float:
        """Seconds that one snippet stands for."""
        return self.stride_frames / self.fps


@dataclass(frozen=True)
class DemoSpec:
    """Size and shape of the demo set; the same spec gives the same videos."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    seed: int = 0
    num_training: int = 40
    num_validation: int = 12
    num_testing: int = 12
    num_classes: int = 8
    """Kinds of motion, at most 12 (those of data/demo_motion.py)."""
    num_looks: int = 5
    """Backgrounds and shapes to draw from: few, so that every class is seen with every look."""
    min_duration_s: float = 30.0
    max_duration_s: float = 120.0
    """Lengths are skewed to the short end."""
    num_broken: int = 1
    """Training videos whose file is cut off, so that it does not open."""
    num_short: int = 1
    """Training videos that are annotated as a fifth longer than their file."""
    num_trimmed: int | None = field(default=None, metadata=UNLESS_NONE)
    """Short videos of one action from end to end, as the subset `trimmed`; null makes none."""

    def __post_init__(self) -> None:
        """Refuse a set that cannot be rendered.

        Raises:
            ValueError: one line for every field at fault.
        """
        lowest = {"seed": 0, "num_training": 1, "num_validation": 0, "num_testing": 0, "num_classes": 2}
        lowest |= {"num_broken": 0, "num_short": 0, "num_looks": 1}
        lowest |= {} if self.num_trimmed is None else {"num_trimmed": 1}
        problems = [
            f"{field}: expected a whole number of at least {low}, got {getattr(self, field)!r}"
            for field, low in lowest.items()
            if not isinstance(getattr(self, field), int) or getattr(self, field) < low
        ]
        if problems:
            raise ValueError("\n".join(problems))
        if self.num_classes > _MOST_CLASSES:
            problems.append(f"num_classes: expected at most {_MOST_CLASSES}, got {self.num_classes}")
        num_flawed = self.num_broken + self.num_short
        if num_flawed >= self.num_training:
            problems.append(
                f"num_training: expected more than the {num_flawed} of num_broken and num_short together, "
                f"got {self.num_training}"
            )
        if not 4 <= self.min_duration_s <= self.max_duration_s < math.inf:
            problems.append(
                "min_duration_s: expected 4 <= min_duration_s <= max_duration_s, "
                f"got {self.min_duration_s!r} and {self.max_duration_s!r}"
            )
        if problems:
            raise ValueError("\n".join(problems))
