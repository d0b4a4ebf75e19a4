"""What a process and its decoder child tell each other, and the results that users see."""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER = struct.Struct("<cI")
"""Before every message of the child: its kind, and the bytes that follow."""
READY, FRAMES, SUMMARY, PROBE, ERROR = b"R", b"F", b"S", b"P", b"E"


@dataclass(frozen=True)
class VideoRequest:
    """One line of JSON to the child; without a rate it asks for a probe."""

    path: str
    fps: float | None = None
    height: int = 0
    width: int = 0


@dataclass(frozen=True)
class VideoProbe:
    """What a file says about itself.

    Attributes:
        duration_s: declared length, or None where the container gives none.
        fps: mean frame rate; measured on the first frames where the header's is absent or absurd, None if
            there is only one frame.
        width: pixels as shown, after rotation.
        height: pixels as shown, after rotation.
        codec: FFmpeg's name of the decoder.
        rotation_deg: counter-clockwise turn that the file asks for: 0, 90, 180 or 270.
    """

    duration_s: float | None
    fps: float | None
    width: int
    height: int
    codec: str
    rotation_deg: int


@dataclass
class DecodedSummary:
    """How far a decoding came; complete once its last frame was given out.

    Attributes:
        num_frames: frames of the resampled stream that were given out.
        num_decoded: frames that the file itself gave; 0 until the end.
        duration_s: from the first frame to the end of the last one; before the end, what was given out.
        declared_duration_s: length in the header, or None.
        error: what was wrong although frames came out (damage, a missing end, jumping time stamps), or None.
        cpu_s: processor time of the decoder; 0 until the end.
    """

    num_frames: int = 0
    num_decoded: int = 0
    duration_s: float = 0.0
    declared_duration_s: float | None = None
    error: str | None = None
    cpu_s: float = 0.0
