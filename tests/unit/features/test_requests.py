"""What is left to do of a stage over videos, and how its answers end in the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from talaria.features.requests import done_row, failed_row, length_note, unfinished
from talaria.records import Video
from talaria.store.ledger import Ledger


def video(video_id: str, path: str | None = "/videos/a.mp4", duration_s: float | None = 10.0) -> Video:
    return Video(video_id, path, "training", duration_s, ())


def ids(videos: list[Video]) -> list[str]:
    return [one.video_id for one in videos]


def test_done_and_failed_videos_are_not_asked_for_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(done_row(video("done"), ledger, 10.0, 5, ""))
    ledger.add(failed_row(video("failed"), ledger, "decode", "cut off", None))
    videos = [video("done"), video("new"), video("failed")]
    assert ids(unfinished(videos, ledger, retry_failed=False)) == ["new"]
    assert ids(unfinished(videos, Ledger(tmp_path), retry_failed=True)) == ["new", "failed"]


def test_a_video_without_a_file_gets_its_row_at_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert unfinished([video("absent", path=None)], ledger, retry_failed=False) == []
    row = Ledger(tmp_path).rows["absent"]
    assert (row.status, row.stage, row.reason) == ("failed", "find", "no file of this video in data.videos")


def test_attempts_are_counted_over_calls(tmp_path: Path) -> None:
    for _ in range(2):
        ledger = Ledger(tmp_path)
        ledger.add(failed_row(video("a"), ledger, "decode", "cut off", None))
    ledger = Ledger(tmp_path)
    ledger.add(done_row(video("a"), ledger, 9.0, 5, ""))
    row = Ledger(tmp_path).rows["a"]
    assert (row.attempts, row.status, row.num_units, row.annotated_s) == (3, "done", 5, 10.0)


@pytest.mark.parametrize(
    ("annotated_s", "decoded_s", "note"),
    [(10.0, 10.9, ""), (10.0, 8.0, "decoded 8.0 s, annotated 10.0 s"), (None, 8.0, "")],
)
def test_odd_lengths_are_noted(annotated_s: float | None, decoded_s: float, note: str) -> None:
    assert length_note(video("a", duration_s=annotated_s), decoded_s) == note
