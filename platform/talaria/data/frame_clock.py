"""When each decoded frame is on screen, and which one is at the ticks of a constant rate.

Time stamps of real files start anywhere, jump, go backwards or are missing; decoders give frames in the order
in which they are shown, so time only has to be kept from running backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Shown = TypeVar("Shown")
Picture = TypeVar("Picture")

STAMP_SLACK_S = 0.002
"""A frame counts as shown this much early: Matroska, WebM and FLV round time stamps to milliseconds."""
_BACKWARD_JUMP_S = 1.0
_FORWARD_JUMP_S = 600.0


class FrameClock:
    """Turns raw time stamps into seconds after the first frame that never decrease."""

    def __init__(self, time_base: float, frame_gap_s: float) -> None:
        """Start before the first frame.

        Args:
            time_base: seconds per unit of a raw time stamp.
            frame_gap_s: what the header says lies between two frames; used until two frames were seen.
        """
        self._time_base = time_base
        self._header_gap_s = frame_gap_s
        self._origin_s = 0.0
        self._num_frames = 0
        self._last_s = 0.0
        self.num_jumps = 0

    @property
    def gap_s(self) -> float:
        """Mean seconds from frame to frame so far."""
        if self._num_frames < 2 or self._last_s == 0.0:
            return self._header_gap_s
        return self._last_s / (self._num_frames - 1)

    @property
    def end_s(self) -> float:
        """Seconds at which the last frame leaves the screen; 0 before the first frame."""
        return self._last_s + self.gap_s if self._num_frames else 0.0

    def time_s(self, stamp: int | None) -> float:
        """Seconds at which the next frame appears.

        A missing stamp follows at the mean gap, and so does one that jumps back by over a second or ahead by
        over ten minutes (a spliced or restarted stream); `num_jumps` counts those.
        """
        if self._num_frames == 0:
            self._origin_s = (stamp or 0) * self._time_base
            self._num_frames = 1
            return 0.0
        following_s = self._last_s + self.gap_s
        found_s = following_s if stamp is None else stamp * self._time_base - self._origin_s
        if not -_BACKWARD_JUMP_S <= found_s - self._last_s <= _FORWARD_JUMP_S:
            self.num_jumps += 1
            self._origin_s += found_s - following_s
            found_s = following_s
        self._last_s = max(self._last_s, found_s)
        self._num_frames += 1
        return self._last_s


def resampled(
    frames: Iterable[tuple[float, Shown]], clock: FrameClock, fps: float, picture: Callable[[Shown], Picture]
) -> Iterator[Picture]:
    """What is on screen at 0, 1 / fps, 2 / fps, ... until the last frame leaves it.

    Args:
        frames: every frame with the time at which it appears; the first at 0.
        clock: the clock that gave these times, asked for the end when they are used up.
        fps: ticks per second.
        picture: called once for every frame that is on screen at some tick.

    Yields:
        At least one picture if there is a frame; a picture repeats while its frame stays.
    """
    num_ticks = 0
    held: list[Shown] = []
    shown: list[Picture] = []
    for time_s, frame in frames:
        while held and num_ticks / fps < time_s - STAMP_SLACK_S:
            shown = shown or [picture(held[0])]
            yield shown[0]
            num_ticks += 1
        held, shown = [frame], []
    while held and (num_ticks == 0 or num_ticks / fps < clock.end_s - STAMP_SLACK_S):
        shown = shown or [picture(held[0])]
        yield shown[0]
        num_ticks += 1
