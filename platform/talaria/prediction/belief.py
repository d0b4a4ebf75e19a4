"""What a member may believe about a video: maps of a generator, refined proposals, or found segments.

Letters: P segments, R rows of logits, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from talaria.config.postprocess import PostprocessConfig
from talaria.evaluation.arrays import FloatArray


class Scored(NamedTuple):
    """Segments of one video, best first.

    Attributes:
        segments_frac: (P, 2) fractions of the video.
        score: (P,) at or above 0, whichever the class.
        class_scores: (P, K) of the segments themselves; None where only the video or its clips have classes.
    """

    segments_frac: FloatArray
    score: FloatArray
    class_scores: NDArray[np.floating] | None = None


class Belief(Protocol):
    """What post-processing asks of a member, or of the fusion of several."""

    @property
    def video_id(self) -> str: ...

    @property
    def duration_s(self) -> float:
        """Length of the video in seconds; segments are fractions of it."""
        ...

    @property
    def class_logits_RK(self) -> NDArray[np.float32]:  # noqa: N802
        """One row for the whole video, or rows spread evenly over it."""
        ...

    def with_class_logits(self, class_logits_RK: NDArray[np.floating]) -> Belief:
        """The same with other class logits."""
        ...

    def candidates(self, config: PostprocessConfig) -> Scored:
        """Its best segments, scored by the powers of `config`."""
        ...


@dataclass(frozen=True)
class Columns:
    """How one kind of belief lies in a Parquet shard.

    Attributes:
        fields: names and Arrow types of its columns; a shard that has them all is of this kind.
        pack: from a belief to a row.
        unpack: from a table, a row number, the video and what an error names to a belief.
    """

    fields: tuple[tuple[str, Any], ...]
    pack: Callable[[Any], Mapping[str, Any]]
    unpack: Callable[[pa.Table, int, str, str], Belief]

    @property
    def names(self) -> list[str]:
        """Names of its columns."""
        return [name for name, _ in self.fields]


def checked_logits(logits: object) -> NDArray[np.float32]:
    """Class logits as (R, K) float32, not empty and finite.

    Raises:
        ValueError: the message begins with `class_logits_RK`.
    """
    found: NDArray[np.float32] = np.asarray(logits, np.float32)
    if found.ndim != 2 or not found.size:
        raise ValueError(f"class_logits_RK: shape {found.shape}, expected (R, K), not empty")
    if not np.isfinite(found).all():
        raise ValueError("class_logits_RK: holds a value that is not finite")
    return found


def check_fractions(name: str, values: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    """Refuse an array of another shape, or with a value outside [0, 1]; the message begins with `name`."""
    if values.shape != shape:
        raise ValueError(f"{name}: shape {values.shape}, expected {shape}")
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"{name}: values in [{values.min()}, {values.max()}], expected [0, 1]")


def check_segments(belief: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Make the named arrays of a frozen belief float32 and refuse what no such belief holds.

    Args:
        belief: with `segments_P2`, `class_logits_RK` and `duration_s`.
        shapes: of its arrays with values in [0, 1].

    Raises:
        ValueError: the message begins with the field at fault.
    """
    for name, shape in shapes.items():
        object.__setattr__(belief, name, np.asarray(getattr(belief, name), np.float32))
        check_fractions(name, getattr(belief, name), shape)
    object.__setattr__(belief, "class_logits_RK", checked_logits(belief.class_logits_RK))
    if (belief.segments_P2[:, 1] < belief.segments_P2[:, 0]).any():
        raise ValueError("segments_P2: holds a segment whose end precedes its start")
    check_duration(belief.duration_s)


def check_duration(duration_s: float) -> None:
    """Refuse a length that no video has."""
    if not 0 < duration_s < float("inf"):
        raise ValueError(f"duration_s: found {duration_s}, expected a finite number above 0")
