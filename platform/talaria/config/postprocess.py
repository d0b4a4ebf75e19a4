"""Settings that turn stored raw predictions into detections."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class PostprocessConfig:
    """How segments are scored, labelled and thinned out.

    Raises:
        ValueError: fields outside their ranges; each line of the message names one.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    map_classification_power: float = 1.0
    """Exponent of the map's classification channel in a proposal's score."""
    map_regression_power: float = 1.0
    """Exponent of the map's regression channel."""
    boundary_power: float = 1.0
    """Exponent of startness x endness; 0 scores by the map alone, as the 2021 winners did."""
    proposal_power: float = 1.0
    """Exponent of the generator's score of a refined proposal."""
    refined_power: float = 1.0
    """Exponent of a refiner's own score, or of that of a detector which finds segments by itself."""
    class_power: float = 1.0
    """Exponent of the class score that multiplies a proposal's score."""
    proposals_per_video: int = 600
    """Best segments of a video that enter suppression."""
    classes_per_video: int = 2
    """Best classes that are tried: of a video, or of every proposal with classification: proposal."""
    detections_per_video: int = 100
    """Best detections of a video that are kept in the end."""
    suppression: Literal["soft", "hard"] = "soft"
    """`soft`: Soft-NMS with Gaussian decay. `hard`: segments whose tIoU with a better one is above `low` are
    dropped."""
    low: float = 0.25
    """Soft-NMS: tIoU above which a segment of no width lowers others."""
    high: float = 0.9
    """Soft-NMS: the same limit for a segment as long as the video; linear in between."""
    alpha: float = 0.4
    """Soft-NMS: spread of the Gaussian decay."""
    classification: Literal["video", "proposal"] = "video"
    """`video`: one class distribution for a whole video (HACS). `proposal`: each proposal has its own, from
    its detector where that tells classes, else the clip scores pooled inside it (THUMOS14, videos of several
    classes)."""

    def __post_init__(self) -> None:
        problems = [
            *self._outside(("map_classification_power", "map_regression_power"), 0.0, math.inf),
            *self._outside(
                ("boundary_power", "proposal_power", "refined_power", "class_power"), 0.0, math.inf
            ),
            *self._outside(("low", "high"), 0.0, 1.0),
            *self._outside(("proposals_per_video", "classes_per_video", "detections_per_video"), 1, math.inf),
        ]
        if not 0.0 < self.alpha < math.inf:
            problems.append(f"alpha: found {self.alpha}, expected a finite number above 0")
        if self.suppression not in ("soft", "hard"):
            problems.append(f"suppression: found {self.suppression!r}, expected soft or hard")
        if self.classification not in ("video", "proposal"):
            problems.append(f"classification: found {self.classification!r}, expected video or proposal")
        if problems:
            raise ValueError("\n".join(problems))

    def _outside(self, fields: tuple[str, ...], low: float, high: float) -> list[str]:
        """A sentence for every field that is not a finite number in [low, high]."""
        wanted = (
            f"a finite number of at least {low:g}" if high == math.inf else f"a number in [{low:g}, {high:g}]"
        )
        return [
            f"{field}: found {getattr(self, field)}, expected {wanted}"
            for field in fields
            if not (low <= getattr(self, field) <= high and math.isfinite(getattr(self, field)))
        ]
