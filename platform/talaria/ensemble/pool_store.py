"""Pools on disk, made video by video from the members' shards by Ray Data's actors.

One row a video and part: first what members have in common, number -1, then each member's own, numbered as
the members are. A worker holds the maps of one video of all members at a time, whatever their number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from talaria.ensemble.fusion import AlignedProposals
from talaria.ensemble.pool import Part, Shortlist, VideoPool, pooled
from talaria.errors import DataError
from talaria.prediction.stores import RawStore
from talaria.store.files import written_aside

_JOINT = -1
_ROWS_PER_GROUP = 64
_SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("duration_s", pa.float64()),
        ("member", pa.int32()),
        ("num_members", pa.int32()),
        ("segments", pa.list_(pa.float64())),
        ("values", pa.list_(pa.float32())),
        ("proposals", pa.list_(pa.float32())),
        ("proposal_scores", pa.list_(pa.float32())),
        ("class_scores", pa.list_(pa.float16())),
        ("num_logit_rows", pa.int32()),
        ("class_logits", pa.list_(pa.float32())),
    ]
)
"""`values` are beliefs of maps, (members, 4, segments), or scores of refined proposals, (members, segments);
only the latter have `proposals`, and `class_scores` where a member found them by itself. `segments` of maps
are there once, of refined proposals for each member."""


@dataclass(frozen=True)
class PoolPlan:
    """What makes pools; a `ShardPlan` of `talaria.prediction.predict`.

    Attributes:
        out: absolute folder of the artifact.
        stores: absolute folders of the members' raw predictions, in their order.
        size: segments of maps that are kept.
        common: whether the members have something in common that weights can mix.
        video_ids: videos to pool, in a fixed order.
    """

    out: str
    stores: tuple[str, ...]
    size: int
    common: bool
    video_ids: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The folder of shards."""
        return Path(self.out) / "pools"

    def load(self) -> Callable[[str], VideoPool]:
        """The members' stores."""
        stores = [RawStore(folder) for folder in self.stores]
        return lambda video_id: pooled(
            [store.read(video_id) for store in stores], self.size, common=self.common
        )

    def write(self, path: Path, rows: list[VideoPool]) -> None:
        """One shard of pools."""
        write_pools(path, rows)


def write_pools(path: Path, pools: Sequence[VideoPool]) -> None:
    """Write one shard, whole or not at all."""
    rows = [row for pool in pools for row in _rows(pool)]
    with written_aside(path) as aside:
        table = pa.Table.from_pylist(rows, schema=_SCHEMA)
        pq.write_table(table, aside, compression="zstd", use_dictionary=False, row_group_size=_ROWS_PER_GROUP)


def read_pools(folder: Path, wanted: Collection[str]) -> list[VideoPool]:
    """The pools of some videos, by id; those that the folder does not have are left out.

    Raises:
        DataError: a shard is damaged.
    """
    chosen, found = frozenset(wanted), list[VideoPool]()
    for path in sorted(folder.glob("*.parquet")):
        try:
            rows = pq.read_table(path, filters=[("video_id", "in", chosen)], use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path}: is damaged ({str(error).splitlines()[0]}); delete it") from None
        found += _pools(rows)
    return sorted(found, key=lambda pool: pool.video_id)


def _rows(pool: VideoPool) -> Iterator[dict[str, Any]]:
    parts: list[tuple[int, Part]] = list(enumerate(pool.alone))
    if pool.joint is not None:
        parts.insert(0, (_JOINT, pool.joint))
    for member, part in parts:
        logits_RK = pool.class_logits_NRK[max(member, 0)]
        yield {
            "video_id": pool.video_id,
            "duration_s": pool.duration_s,
            "member": member,
            **_columns(part),
            "num_logit_rows": len(logits_RK),
            "class_logits": logits_RK.reshape(-1) if member != _JOINT else [],
        }


def _columns(part: Part) -> dict[str, Any]:
    if isinstance(part, Shortlist):
        return {
            "num_members": len(part.beliefs_NQC),
            "segments": part.segments_C2.reshape(-1),
            "values": part.beliefs_NQC.reshape(-1),
        }
    return {
        "num_members": len(part.scores_NP),
        "segments": part.segments_NP2.reshape(-1),
        "values": part.scores_NP.reshape(-1),
        "proposals": part.proposals_P2.reshape(-1),
        "proposal_scores": part.proposal_scores_P,
        **({} if part.class_scores_PK is None else {"class_scores": _halves(part.class_scores_PK)}),
    }


def _pools(table: pa.Table) -> Iterator[VideoPool]:
    by_video: dict[str, dict[int, int]] = defaultdict(dict)
    for row, (video_id, member) in enumerate(
        zip(table["video_id"].to_pylist(), table["member"].to_pylist(), strict=True)
    ):
        by_video[video_id][member] = row
    for video_id, rows in by_video.items():
        own = [rows[member] for member in sorted(rows) if member != _JOINT]
        logits = [
            _floats(table, row, "class_logits").reshape(table["num_logit_rows"][row].as_py(), -1)
            for row in own
        ]
        yield VideoPool(
            video_id,
            table["duration_s"][own[0]].as_py(),
            _part(table, rows[_JOINT]) if _JOINT in rows else None,
            tuple(_part(table, row) for row in own),
            np.stack(logits),
        )


def _part(table: pa.Table, row: int) -> Part:
    count = table["num_members"][row].as_py()
    segments, values = _floats(table, row, "segments"), _floats(table, row, "values")
    if table["proposals"][row].as_py() is None:
        return Shortlist(segments.reshape(-1, 2), values.reshape(count, 4, -1))
    scores_P = _floats(table, row, "proposal_scores")
    return AlignedProposals(
        table["video_id"][row].as_py(),
        table["duration_s"][row].as_py(),
        _floats(table, row, "proposals").reshape(-1, 2),
        scores_P,
        segments.astype(np.float32).reshape(count, len(scores_P), 2),
        values.reshape(count, len(scores_P)),
        np.zeros((count, 0, 0), np.float32),
        _class_scores(table, row, len(scores_P)),
    )


def _class_scores(table: pa.Table, row: int, num_segments: int) -> Any:
    if table["class_scores"][row].as_py() is None:
        return None
    return _floats(table, row, "class_scores").astype(np.float32).reshape(num_segments, -1)


def _halves(values: NDArray[np.float32]) -> NDArray[np.float16]:
    return values.reshape(-1).astype(np.float16)


def _floats(table: pa.Table, row: int, name: str) -> Any:
    values = table[name][row].values
    return np.array(values.to_numpy(zero_copy_only=False))
