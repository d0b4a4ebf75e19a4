"""The failure ledger: one row per video, whatever happens to the process that writes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from talaria.errors import StageError
from talaria.store.ledger import Ledger, LedgerRow


def row(video_id: str, status: str = "done", reason: str = "", attempts: int = 1) -> LedgerRow:
    stage = "done" if status == "done" else "decode"
    return LedgerRow(video_id, status, stage, reason, attempts, 10.0, 9.5, 7)  # type: ignore[arg-type]


def filled(folder: Path, done: int, failed: int) -> Ledger:
    ledger = Ledger(folder)
    for index in range(done):
        ledger.add(row(f"good{index}"))
    for index in range(failed):
        ledger.add(row(f"bad{index}", "failed", f"reason {index}"))
    return ledger


def test_rows_are_found_again_whatever_they_say(tmp_path: Path) -> None:
    rows = [row("a", reason="line\nbreak"), row("ü\u2028\x85🎬", "failed", "\u2028\x85\ud800"), row('"')]
    ledger = Ledger(tmp_path)
    for one in rows:
        ledger.add(one)
    again = Ledger(tmp_path)
    assert list(again.rows.values()) == rows
    assert again.done() == {"a", '"'}
    assert again.failed() == [rows[1]]


def test_a_later_row_replaces_the_earlier_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(row("a", "failed", "no file"))
    ledger.add(row("a", attempts=2))
    for found in (ledger, Ledger(tmp_path)):
        assert list(found.rows.values()) == [row("a", attempts=2)]
        assert found.failed() == []


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_torn_last_line_costs_that_video_only(tmp_path: Path, cut: int) -> None:
    filled(tmp_path, done=3, failed=0)
    journal = tmp_path / "ledger.jsonl"
    journal.write_bytes(journal.read_bytes()[:-cut])
    after = Ledger(tmp_path)
    assert {"good0", "good1"} <= after.done() <= {"good0", "good1", "good2"}
    after.add(row("next"))
    after.add(row("good2", attempts=2))
    assert Ledger(tmp_path).done() == {"good0", "good1", "good2", "next"}


def test_a_killed_writer_loses_no_row_that_was_added(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom talaria.store.ledger import Ledger, LedgerRow\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "ledger.add(LedgerRow('a', 'done', 'done', '', 1, None, 2.0, 3))\nos.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert Ledger(tmp_path).done() == {"a"}


def test_the_table_holds_every_video_once(tmp_path: Path) -> None:
    ledger = filled(tmp_path, done=2, failed=1)
    ledger.add(LedgerRow("nothing", "done", "done", "", 1, None, None, 0))
    ledger.close(0.5, "features")
    table = pq.read_table(tmp_path / "ledger.parquet").to_pylist()
    assert [entry["video_id"] for entry in table] == ["bad0", "good0", "good1", "nothing"]
    assert table[0]["reason"] == "reason 0"
    assert table[3]["annotated_s"] is None


@pytest.mark.parametrize(
    ("done", "failed", "allowed", "stops"),
    [(9, 1, 0.1, False), (8, 2, 0.1, True), (7, 3, 0.3, False), (71, 29, 0.29, False), (1, 0, 0.0, False),
     (9, 1, 0.0, True), (0, 3, 1.0, True)],
)  # fmt: skip
def test_a_stage_stops_above_the_allowed_fraction(
    tmp_path: Path, done: int, failed: int, allowed: float, stops: bool
) -> None:
    ledger = filled(tmp_path, done, failed)
    if not stops:
        ledger.close(allowed, "features")
        return
    with pytest.raises(StageError) as caught:
        ledger.close(allowed, "features")
    assert (tmp_path / "ledger.parquet").is_file(), "the table is there to look into"
    sentence, first, *_ = caught.value.problems
    assert first == "bad0: reason 0"
    if done:
        assert (
            sentence
            == f"features: {failed} of {done + failed} videos failed; data.max_failed_frac allows {allowed:g}"
        )
    else:
        assert sentence == f"features: no video is left, all {failed} failed"


def test_a_stage_without_videos_stops(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="features: there is no video to work on"):
        Ledger(tmp_path).close(1.0, "features")


@pytest.mark.parametrize(
    ("annotated_s", "decoded_s", "differs"),
    [(100.0, 94.0, True), (100.0, 96.0, False), (100.0, 106.0, True), (5.0, 5.9, False), (5.0, 6.1, True),
     (None, 3.0, False), (3.0, None, False)],
)  # fmt: skip
def test_lengths_differ_beyond_the_tolerance_and_a_second(
    annotated_s: float | None, decoded_s: float | None, differs: bool
) -> None:
    assert LedgerRow("a", "done", "done", "", 1, annotated_s, decoded_s, 1).length_differs(0.05) is differs
