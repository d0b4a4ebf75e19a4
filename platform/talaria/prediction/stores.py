"""Raw predictions on disk: a folder of Parquet shards, one row per video, readable with plain pyarrow.

Shards of one set hold one kind of belief: boundary-matching maps, refined proposals, or found segments.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from talaria.errors import DataError
from talaria.prediction.belief import Belief, Columns
from talaria.prediction.found import FOUND, FoundPrediction
from talaria.prediction.raw import MAPS, RawPrediction
from talaria.prediction.refined import REFINED, RefinedPrediction
from talaria.prediction.shards import about, columns, opened
from talaria.store.files import written_aside

_ROWS_PER_GROUP = 16
"""Videos that are read from disk together: 16 maps of T = 200 are 1.3 MB."""
_META = b"talaria"
_KINDS: dict[type, Columns] = {
    RawPrediction: MAPS,
    RefinedPrediction: REFINED,
    FoundPrediction: FOUND,
}


@dataclass(frozen=True)
class RawMeta:
    """What a set of raw predictions is about; fusion compares it between members.

    Attributes:
        member: the name people know it by.
        dataset: fingerprint of the dataset's annotations.
        split: name of the subset.
        video_ids: every video of that split that the set covers.
        classes: columns of the logits, without background.
        time_base: how `duration_s` was measured, such as `decoded`.
        proposals: fingerprint of the proposals that were refined, or of the detector that found segments by
            itself; empty for maps. Members that differ in it share nothing but the video.
    """

    member: str
    dataset: str
    split: str
    video_ids: tuple[str, ...]
    classes: tuple[str, ...]
    time_base: str
    proposals: str = ""


def write_raw(path: Path, predictions: Iterable[Belief], meta: RawMeta) -> None:
    """Write one shard, whole or not at all; its bytes depend on the content alone, not on the order given.

    Args:
        path: a `.parquet` file in the folder of the set.
        predictions: some or all videos of the set.
        meta: equal in all shards of a set.

    Raises:
        DataError: a video that is given twice or is not in `meta`, or logits of another number of classes.
    """
    rows = sorted(predictions, key=lambda prediction: prediction.video_id)
    _check_rows(rows, meta)
    kind = _KINDS[type(rows[0])] if rows else MAPS
    about_set = json.dumps(dataclasses.asdict(meta), sort_keys=True).encode()
    schema = pa.schema(kind.fields).with_metadata({_META: about_set})
    with (
        written_aside(path) as aside,
        pq.ParquetWriter(aside, schema, compression="zstd", use_dictionary=False) as writer,
    ):
        for begin in range(0, len(rows), _ROWS_PER_GROUP):
            group = [kind.pack(row) for row in rows[begin : begin + _ROWS_PER_GROUP]]
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


class RawStore:
    """The raw predictions of one member for one split: a folder of shards, read video by video."""

    def __init__(self, folder: Path | str) -> None:
        """Nothing is read until it is asked for.

        Args:
            folder: absolute path of the folder that holds the shards.
        """
        self.folder = Path(folder)
        self._held: tuple[Path, int, pa.Table] | None = None

    @cached_property
    def meta(self) -> RawMeta:
        """What all shards say they are about.

        Raises:
            DataError: no shard, one that is damaged, or shards that disagree, naming the field.
        """
        metas = {path: _read_meta(path) for path in self._shards}
        first = next(iter(metas.values()))
        for path, meta in metas.items():
            for field in dataclasses.fields(RawMeta):
                if getattr(meta, field.name) != getattr(first, field.name):
                    raise DataError(
                        f"member {first.member}: {path.name} has another {field.name} than "
                        f"{self._shards[0].name}; expected the shards of one set in {self.folder}"
                    )
        return first

    @property
    def video_ids(self) -> tuple[str, ...]:
        """The videos of the set, sorted.

        Raises:
            DataError: a shard is damaged or videos of the set are missing.
        """
        return tuple(sorted(self._places))

    def read(self, video_id: str) -> Belief:
        """One video's prediction.

        Raises:
            DataError: naming the member, the video and the field that is missing or truncated.
        """
        if video_id not in self._places:
            raise DataError(f"member {self.meta.member}: no prediction of video {video_id} in {self.folder}")
        path, group, row = self._places[video_id]
        return self._unpacked(self._group(path, group), row)

    def __iter__(self) -> Iterator[Belief]:
        """All videos, shard after shard; memory holds a few at a time."""
        for path, group, row in self._places.values():
            yield self._unpacked(self._group(path, group), row)

    @cached_property
    def _shards(self) -> tuple[Path, ...]:
        shards = tuple(sorted(self.folder.glob("*.parquet")))
        if not shards:
            raise DataError(f"{self.folder}: holds no raw predictions (*.parquet)")
        return shards

    @cached_property
    def _places(self) -> dict[str, tuple[Path, int, int]]:
        """Shard, row group and row of every video."""
        places: dict[str, tuple[Path, int, int]] = {}
        for path in self._shards:
            with opened(path, self.meta.member) as file:
                for group in range(file.num_row_groups):
                    ids = columns(file, group, ["video_id"], self.meta.member)["video_id"].to_pylist()
                    places.update({video_id: (path, group, row) for row, video_id in enumerate(ids)})
        missing = sorted(set(self.meta.video_ids) - places.keys())
        if missing:
            raise DataError(
                f"member {self.meta.member}: video_ids: predictions of {len(missing)} of "
                f"{len(self.meta.video_ids)} videos are missing in {self.folder}, the first is {missing[0]}; "
                "predict them again"
            )
        return places

    def _group(self, path: Path, group: int) -> pa.Table:
        """A row group, kept until another one is asked for."""
        if self._held is None or self._held[:2] != (path, group):
            with opened(path, self.meta.member) as file:
                self._held = (path, group, columns(file, group, self._columns.names, self.meta.member))
        return self._held[2]

    @cached_property
    def _columns(self) -> Columns:
        """The kind of belief that the shards hold; maps where one lacks columns of any kind."""
        with opened(self._shards[0], self.meta.member) as file:
            found = set(file.schema_arrow.names)
        return next((kind for kind in _KINDS.values() if found.issuperset(kind.names)), MAPS)

    def _unpacked(self, table: pa.Table, row: int) -> Belief:
        video_id = table["video_id"][row].as_py()
        where = f"member {self.meta.member}: video {video_id}"
        try:
            found = self._columns.unpack(table, row, video_id, where)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from None
        _check_columns(found, self.meta)
        return found


def _check_rows(rows: list[Belief], meta: RawMeta) -> None:
    known, seen = set(meta.video_ids), set[str]()
    for row in rows:
        if row.video_id in seen:
            raise DataError(f"member {meta.member}: video {row.video_id} was predicted twice")
        if row.video_id not in known:
            raise DataError(
                f"member {meta.member}: video {row.video_id} is not among the video_ids of its split"
            )
        _check_columns(row, meta)
        seen.add(row.video_id)


def _check_columns(row: Belief, meta: RawMeta) -> None:
    found, expected = row.class_logits_RK.shape[1], len(meta.classes)
    if found not in (expected, expected + 1):
        raise DataError(
            f"member {meta.member}: class_logits of video {row.video_id} have {found} columns, "
            f"expected {expected} classes, or one more for background"
        )


def _read_meta(path: Path) -> RawMeta:
    fields = about(path, _META)
    try:
        return RawMeta(**{**fields, **{name: tuple(fields[name]) for name in ("video_ids", "classes")}})
    except (KeyError, TypeError) as error:
        raise DataError(
            f"member {path.parent.name}: {path} does not say what it is about ({error})"
        ) from None
