"""Proposals on disk: the best segments of every video, from which refiners start.

A folder of Parquet shards, one row per video, readable with plain pyarrow; videos lie in shards as they were
given. Letters: P proposals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from talaria.errors import DataError
from talaria.store.files import written_aside

_SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("duration_s", pa.float64()),
        ("segments", pa.list_(pa.float32())),
        ("scores", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True, eq=False)
class VideoProposals:
    """The proposals of one video.

    Attributes:
        duration_s: length of the video in seconds.
        segments_P2: fractions of the video, start < end, the best first.
        scores_P: in [0, 1].

    Raises:
        ValueError: arrays of other shapes or ranges.
    """

    video_id: str
    duration_s: float
    segments_P2: NDArray[np.float32]
    scores_P: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.segments_P2.shape != (len(self.scores_P), 2):
            raise ValueError(f"segments_P2: shape {self.segments_P2.shape} with {len(self.scores_P)} scores")
        for name in ("segments_P2", "scores_P"):
            values = getattr(self, name)
            if values.size and not (values.min() >= 0 and values.max() <= 1):
                raise ValueError(f"{name}: values in [{values.min()}, {values.max()}], expected [0, 1]")


def write_proposals(path: Path, rows: Iterable[VideoProposals]) -> None:
    """Write one shard, whole or not at all."""
    table = pa.Table.from_pylist(
        [
            {
                "video_id": row.video_id,
                "duration_s": row.duration_s,
                "segments": row.segments_P2.reshape(-1),
                "scores": row.scores_P,
            }
            for row in rows
        ],
        schema=_SCHEMA,
    )
    with written_aside(path) as aside:
        pq.write_table(table, aside, compression="zstd")


class ProposalStore:
    """The proposals of a set of videos; all are held in memory, about 1.2 KB for a hundred."""

    def __init__(self, folder: Path | str) -> None:
        """Nothing is read until it is asked for.

        Args:
            folder: absolute folder of the shards.
        """
        self.folder = Path(folder)

    @property
    def video_ids(self) -> tuple[str, ...]:
        """The videos of the set, sorted."""
        return tuple(sorted(self._rows))

    def read(self, video_id: str) -> VideoProposals:
        """One video's proposals.

        Raises:
            DataError: the video has none, or a shard is damaged.
        """
        if video_id not in self._rows:
            raise DataError(f"{self.folder}: has no proposals of video {video_id}; predict them again")
        return self._rows[video_id]

    @cached_property
    def _rows(self) -> dict[str, VideoProposals]:
        rows: dict[str, VideoProposals] = {}
        for path in sorted(self.folder.glob("*.parquet")):
            try:
                table = pq.read_table(path, columns=_SCHEMA.names)
                rows.update({row["video_id"]: _row(row) for row in table.to_pylist()})
            except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
                raise DataError(f"{path}: is damaged or holds no proposals ({error})") from None
        return rows


def _row(fields: dict[str, object]) -> VideoProposals:
    return VideoProposals(
        str(fields["video_id"]),
        float(fields["duration_s"]),  # type: ignore[arg-type]
        np.array(fields["segments"], np.float32).reshape(-1, 2),
        np.array(fields["scores"], np.float32),
    )
