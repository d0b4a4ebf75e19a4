"""What a stage over videos is asked for, and how its answers end in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from talaria.config.specs import ClipSpec
from talaria.records import Video
from talaria.store.ledger import Ledger, LedgerRow

OnVideo = Callable[[LedgerRow], None]
"""Called with the row of each video that ended."""


@dataclass(frozen=True)
class StageLimits:
    """Limits that stop a stage or a video, none of which changes a result.

    Attributes:
        decode_limit_s: wall-clock limit for decoding one video.
        max_failed_frac: fraction of videos that may fail.
        retry_failed: try again what failed in an earlier call.
    """

    decode_limit_s: float
    max_failed_frac: float
    retry_failed: bool = False


@dataclass(frozen=True)
class ExtractionPlan:
    """What every worker of an extraction needs to know.

    Attributes:
        store: absolute folder of the feature store.
        model: absolute folder of the backbone.
        dtype: of the stored features, `float16` or `float32`.
    """

    store: str
    model: str
    spec: ClipSpec
    chunk_clips: int
    dtype: str
    decode_limit_s: float


@dataclass
class Extracted:
    """What came of one video, filled while it is worked on.

    Attributes:
        error: why it failed, else empty.
        decoded_s: how much of it was decoded.
        note: what was odd about it.
        decode_cpu_s, forward_cpu_s: processor time of its decoder and of the backbone.
        wall_s: time on the clock.
    """

    video_id: str
    error: str = ""
    decoded_s: float = 0.0
    num_snippets: int = 0
    note: str = ""
    decode_cpu_s: float = 0.0
    forward_cpu_s: float = 0.0
    wall_s: float = 0.0

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Extracted:
        """From Ray Data's row, whose numbers are NumPy's."""
        return cls(
            **{key: getattr(value, "tolist", lambda value=value: value)() for key, value in row.items()}
        )


def unfinished(videos: Sequence[Video], ledger: Ledger, retry_failed: bool) -> list[Video]:
    """The videos without a row, and those that failed if asked for; one without a file gets its row here."""
    todo: list[Video] = []
    for video in videos:
        row = ledger.rows.get(video.video_id)
        if row is not None and (row.status == "done" or not retry_failed):
            continue
        if video.path is None:
            ledger.add(failed_row(video, ledger, "find", "no file of this video in data.videos", None))
        else:
            todo.append(video)
    return todo


def failed_row(video: Video, ledger: Ledger, stage: str, reason: str, decoded_s: float | None) -> LedgerRow:
    """A row for a video that did not make it; attempts are counted on."""
    earlier = ledger.rows.get(video.video_id)
    attempts = 1 + (earlier.attempts if earlier is not None else 0)
    return LedgerRow(video.video_id, "failed", stage, reason, attempts, video.duration_s, decoded_s, 0)


def done_row(video: Video, ledger: Ledger, decoded_s: float, num_units: int, note: str) -> LedgerRow:
    """A row for a video whose work is on disk; `note` says what was odd about it."""
    earlier = ledger.rows.get(video.video_id)
    attempts = 1 + (earlier.attempts if earlier is not None else 0)
    return LedgerRow(video.video_id, "done", "done", note, attempts, video.duration_s, decoded_s, num_units)


def length_note(video: Video, decoded_s: float) -> str:
    """What to say where the real length is not the annotated one."""
    if video.duration_s is None or abs(decoded_s - video.duration_s) <= 1.0:
        return ""
    return f"decoded {decoded_s:.1f} s, annotated {video.duration_s:.1f} s"


def rows_of(batches: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Ray Data's numpy batches, row by row."""
    for batch in batches:
        for index in range(len(next(iter(batch.values())))):
            yield {key: column[index] for key, column in batch.items()}
