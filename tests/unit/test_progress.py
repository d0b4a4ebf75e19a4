"""What a person sees of a long step: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from talaria import log
from talaria.log import Board, duration_text, following

WIDTH = 76


class Clock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(log, "time", fake)
    return fake


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a job prints where there is no terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(log, "console", Console(file=stream, soft_wrap=True, markup=False, emoji=False))
    kept = log.LOGGER.handlers[:], log.LOGGER.level, log.LOGGER.propagate
    log.setup_console()
    yield stream
    log.LOGGER.handlers[:], log.LOGGER.propagate = kept[0], kept[2]
    log.LOGGER.setLevel(kept[1])


def screen_after(text: str) -> list[str]:
    """The lines on a terminal that was sent `text`."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|\r|\n|[^\r\n\x1b]+", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif part.endswith("A") and part.startswith("\x1b"):
            row -= int(part[2:-1] or 1)
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines if line.strip()]


def drawn(stream: io.StringIO, text: str) -> list[str]:
    """The screen once `text` is on it; bars are drawn by a thread."""
    for _ in range(500):
        seen = screen_after(stream.getvalue())
        if any(text in line for line in seen):
            return seen
        time.sleep(0.01)
    raise AssertionError(f"{text} was not drawn within 5 s")


def test_elsewhere_a_line_comes_every_ten_seconds(clock: Clock, printed: io.StringIO) -> None:
    with Board(Console(file=io.StringIO())).step("features slowfast", 60) as step:
        for _ in range(60):
            clock.now_s += 3.0
            step.advance(note="")
    assert printed.getvalue().splitlines()[:2] == [
        "  features slowfast: 4/60, 12s, about 2m48s left",
        "  features slowfast: 8/60, 24s, about 2m36s left",
    ]
    assert len(printed.getvalue().splitlines()) == 14


def test_what_an_earlier_run_did_tells_no_speed(clock: Clock, printed: io.StringIO) -> None:
    with Board(Console(file=io.StringIO())).step("features", 60) as step:
        step.advance(50)
        clock.now_s += 20.0
        step.advance(0, note="video_7")
        clock.now_s += 20.0
        step.advance(2, note="video_8")
    assert printed.getvalue().splitlines() == [
        "  features: 50/60, 20s, video_7",
        "  features: 52/60, 40s, about 2m40s left, video_8",
    ]


def test_lines_are_printed_as_they_are(printed: io.StringIO) -> None:
    log.LOGGER.info("%s [bold]%s[/bold] :smile: %s", "1/2", "x", "y" * 300)
    logging.getLogger("talaria.pipeline").info("from a room")
    assert printed.getvalue() == f"1/2 [bold]x[/bold] :smile: {'y' * 300}\nfrom a room\n"


def test_bars_fit_the_terminal_and_leave_nothing(clock: Clock) -> None:
    stream = io.StringIO()
    screen = Console(file=stream, force_terminal=True, width=WIDTH, legacy_windows=False, _environ={})
    board = Board(screen)
    with board.step("train bmn64@slowfast", 4) as first, board.step("predict [x]", 9) as second:
        clock.now_s += 8.0
        first.advance(1, note="loss 0.5, a very long note that no terminal has room for")
        second.resize(3, 12)
        seen = drawn(stream, "3/12")
        screen.print("a line meanwhile")
        assert "a line meanwhile" in screen_after(stream.getvalue())[0]
    assert seen[0].startswith(
        "  train bmn64@slowfast   ━━━━━───────────────  1/4, 8s, ".replace("  1/4", " 1/4")
    )
    assert seen[0].endswith("…")
    assert "predict [x]" in seen[1]
    assert "3/12, 8s, about 24s left" in seen[1]
    assert max(len(line) for line in seen) <= WIDTH
    assert screen_after(stream.getvalue()) == ["a line meanwhile"]


def test_a_step_that_dies_leaves_nothing() -> None:
    stream = io.StringIO()
    board = Board(Console(file=stream, force_terminal=True, width=WIDTH, legacy_windows=False, _environ={}))

    def dies() -> None:
        with board.step("features", 4) as step:
            step.advance()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dies()
    assert screen_after(stream.getvalue()) == []
    assert stream.getvalue().rfind("\x1b[?25h") > stream.getvalue().rfind("\x1b[?25l"), "the cursor is back"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.4, "59s"), (59.6, "1m00s"), (95, "1m35s"), (3599.9, "1h00m"), (7320, "2h02m")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_following_looks_meanwhile_and_at_the_end() -> None:
    seen: list[int] = []
    source: list[int] = []
    with following(lambda: seen.append(len(source)), every_s=0.01):
        deadline = time.monotonic() + 5
        while not seen and time.monotonic() < deadline:
            time.sleep(0.005)
        assert seen, "looked while the block ran"
        source.append(1)
    assert seen[-1] == 1
