"""Which frame is on screen when, for the time stamps that real files hold."""

from __future__ import annotations

import pytest

from talaria.data.frame_clock import FrameClock, resampled


def on_screen(
    stamps: list[int | None], fps: float, time_base: float = 0.001, gap_s: float = 0.1
) -> list[int]:
    """Index of the source frame at each tick."""
    clock = FrameClock(time_base, gap_s)
    timed = ((clock.time_s(stamp), index) for index, stamp in enumerate(stamps))
    return list(resampled(timed, clock, fps, lambda index: index))


def test_constant_rate_keeps_every_frame() -> None:
    assert on_screen([0, 100, 200, 300], fps=10) == [0, 1, 2, 3]


@pytest.mark.parametrize("start", [0, 67, 45_586_000])
def test_stamps_rounded_to_milliseconds_and_far_from_zero(start: int) -> None:
    stamps = [start + round(1000 * i / 30) for i in range(30)]
    assert on_screen(stamps, fps=30) == list(range(30))
    assert on_screen(stamps, fps=10) == list(range(0, 30, 3))


def test_more_ticks_than_frames_repeat_frames() -> None:
    assert on_screen([0, 100, 200], fps=20) == [0, 0, 1, 1, 2, 2]


def test_variable_rate_shows_a_frame_until_the_next() -> None:
    assert on_screen([0, 100, 500, 600], fps=10) == [0, 1, 1, 1, 1, 2, 3, 3]


def test_missing_stamps_follow_at_the_mean_gap() -> None:
    assert on_screen([None] * 4, fps=10) == [0, 1, 2, 3]
    assert on_screen([0, 200, None, None], fps=10) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_small_steps_back_keep_the_order() -> None:
    shown = on_screen([0, 100, 300, 200, 400, 500], fps=10)
    assert shown == sorted(shown)
    assert len(shown) == 6


@pytest.mark.parametrize("jump", [-50_000, 2_000_000])
def test_a_restarted_stream_is_joined(jump: int) -> None:
    clock = FrameClock(0.001, 0.1)
    stamps = [60_000, 60_100, 60_200, 60_300 + jump, 60_400 + jump]
    assert [round(clock.time_s(s), 6) for s in stamps] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert clock.num_jumps == 1


def test_one_frame_lasts_what_the_header_says() -> None:
    assert on_screen([7], fps=10, gap_s=0.04) == [0]
    assert on_screen([7], fps=100, gap_s=0.04) == [0, 0, 0, 0]


def test_nothing_shows_nothing() -> None:
    assert on_screen([], fps=10) == []
