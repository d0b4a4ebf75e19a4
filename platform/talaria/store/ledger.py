"""The failure ledger: every video of a stage ends in exactly one row, done or failed with its reason.

Rows are journalled as they come (`ledger.jsonl`, one flushed line each) so that a killed run loses none, and
written as `ledger.parquet` when the stage ends.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from talaria.errors import StageError
from talaria.store.files import written_aside

JOURNAL = "ledger.jsonl"
TABLE = "ledger.parquet"


@dataclass(frozen=True)
class LedgerRow:
    """What became of one video.

    Attributes:
        stage: the step that ended it: `find`, `decode`, `forward`, or `done`.
        reason: one sentence; empty for done videos without oddities.
        annotated_s: length in the annotations, or None.
        decoded_s: length that was really decoded, or None where nothing was.
        num_units: snippets or clips written for it.
    """

    video_id: str
    status: Literal["done", "failed"]
    stage: str
    reason: str
    attempts: int
    annotated_s: float | None
    decoded_s: float | None
    num_units: int

    def length_differs(self, tolerance_frac: float) -> bool:
        """Whether the decoded length is not the annotated one, by more than the tolerance and one second."""
        if self.annotated_s is None or self.decoded_s is None:
            return False
        return abs(self.decoded_s - self.annotated_s) > max(1.0, tolerance_frac * self.annotated_s)


class Ledger:
    """The rows of one stage's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.rows: dict[str, LedgerRow] = {row.video_id: row for row in _read(folder / JOURNAL)}

    def add(self, row: LedgerRow) -> None:
        """Journal a row; a later row of the same video replaces the earlier one."""
        line = json.dumps(dataclasses.asdict(row)) + "\n"
        with (self._folder / JOURNAL).open("a+b") as journal:
            journal.write(line.encode() if _ends_whole(journal) else b"\n" + line.encode())
            journal.flush()
            os.fsync(journal.fileno())
        self.rows[row.video_id] = row

    def done(self) -> set[str]:
        """Ids of the videos whose work is there."""
        return {row.video_id for row in self.rows.values() if row.status == "done"}

    def failed(self) -> list[LedgerRow]:
        """The failed rows, by video id."""
        return sorted((r for r in self.rows.values() if r.status == "failed"), key=lambda row: row.video_id)

    def close(self, max_failed_frac: float, stage: str) -> None:
        """Write the table; stop if too many failed or nothing is left to go on with.

        Raises:
            StageError: with the first reasons and the setting that allows more.
        """
        rows = sorted(self.rows.values(), key=lambda row: row.video_id)
        columns = {name: [getattr(row, name) for row in rows] for name in _SCHEMA.names}
        with written_aside(self._folder / TABLE) as aside:
            pq.write_table(pa.table(columns, schema=_SCHEMA), aside, compression="zstd")
        if not rows:
            raise StageError(f"{stage}: there is no video to work on; expected some in the subset used here")
        failed = self.failed()
        reasons = [f"{row.video_id}: {row.reason}" for row in failed[:5]]
        if len(failed) == len(rows):
            raise StageError([f"{stage}: no video is left, all {len(rows)} failed", *reasons])
        if len(failed) / len(rows) > max_failed_frac:
            raise StageError(
                [
                    f"{stage}: {len(failed)} of {len(rows)} videos failed; data.max_failed_frac allows "
                    f"{max_failed_frac:g}",
                    *reasons,
                ]
            )


_SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("status", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("attempts", pa.int32()),
        ("annotated_s", pa.float64()),
        ("decoded_s", pa.float64()),
        ("num_units", pa.int32()),
    ]
)


def _read(path: Path) -> Iterable[LedgerRow]:
    if not path.is_file():
        return
    for line in path.read_bytes().split(b"\n"):
        try:
            yield LedgerRow(**json.loads(line))
        except (ValueError, TypeError):
            continue  # the line that a killed writer left half; its video is simply done again


def _ends_whole(journal: IO[bytes]) -> bool:
    """Whether the journal is empty or its last line is whole."""
    size = journal.seek(0, os.SEEK_END)
    return not size or os.pread(journal.fileno(), 1, size - 1) == b"\n"
