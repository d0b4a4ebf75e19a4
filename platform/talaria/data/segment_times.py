"""Where a true segment lies against the length of its video: inside, over an edge, or outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Ends: TypeAlias = Literal["clipped", "kept"]
"""Training wants segments within the video (clipped); a judge sees the times that the file holds (kept)."""

ROUNDING_S = 0.01
"""Ends this far past the duration come from rounded durations (217 of the 231 in ActivityNet 1.3)."""


@dataclass(frozen=True)
class Settled:
    """A segment after its look at the video's length.

    Attributes:
        ends_s: start and end; None for a segment outside the video, which clipping leaves nothing of.
        oddities: (kind, text) of what is odd in its times.
    """

    ends_s: tuple[float, float] | None
    oddities: tuple[tuple[str, str], ...]


def settle(start_s: float, end_s: float, duration_s: float | None, ends: Ends) -> Settled:
    """Note where a segment leaves its video, and clip it there if asked.

    Args:
        start_s: seconds, finite.
        end_s: seconds, at or after `start_s`.
        duration_s: of the video; None where unknown, then no end is too late.
        ends: whether to clip.
    """
    limit_s = float("inf") if duration_s is None else duration_s
    clip = ends == "clipped"
    zero = (("zero_length", f"starts and ends at {start_s:g} s"),) if start_s == end_s else ()
    if (start_s < 0 and end_s <= 0) or (end_s > limit_s and start_s >= limit_s):
        done = "left out" if clip else "kept"
        found = f"spans {start_s:g} to {end_s:g} s, the video {_span(duration_s)}; {done}"
        return Settled(None if clip else (start_s, end_s), (*zero, ("outside", found)))
    done = "clipped there" if clip else "kept"
    oddities = list(zero)
    if start_s < 0:
        oddities.append(("before_start", f"starts at {start_s:g} s, the video at 0 s; {done}"))
    if end_s > limit_s:
        kind = "past_end" if end_s - limit_s > ROUNDING_S else "past_end_rounding"
        oddities.append((kind, f"ends at {end_s:.8g} s, the video at {limit_s:.8g} s; {done}"))
    settled_s = (max(start_s, 0.0), min(end_s, limit_s)) if clip else (start_s, end_s)
    return Settled(settled_s, tuple(oddities))


def _span(duration_s: float | None) -> str:
    return "starts at 0 s" if duration_s is None else f"0 to {duration_s:g} s"
