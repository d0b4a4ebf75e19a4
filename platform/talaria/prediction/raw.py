"""Raw predictions: what a member believes about a video before any suppression, in memory and on disk.

On disk a folder holds one or more Parquet shards, one row per video, readable with plain pyarrow. A map is
kept as its valid triangle in float16: row d = 0 with T values, row d = 1 with T - 1, and so on.

Letters: T snippets, D durations (D = T), M map channels (0 regression, 1 classification), R rows of logits,
K classes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from talaria.errors import DataError
from talaria.prediction.shards import about, columns, floats, opened
from talaria.store.files import written_aside

_ROWS_PER_GROUP = 16
"""Videos that are read from disk together: 16 maps of T = 200 are 1.3 MB."""
_META = b"talaria"
_SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("duration_s", pa.float64()),
        ("num_snippets", pa.int32()),
        ("start", pa.list_(pa.float32())),
        ("end", pa.list_(pa.float32())),
        ("map_regression", pa.list_(pa.float16())),
        ("map_classification", pa.list_(pa.float16())),
        ("num_logit_rows", pa.int32()),
        ("class_logits", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True, eq=False)
class RawPrediction:
    """What one model, or a fusion of several, believes about one video. All arrays are float32.

    Attributes:
        duration_s: length of the video in seconds; the grid is T equal bins over [0, duration_s].
        start_T: startness, (T,) in [0, 1]; bin t speaks of the instant t / T.
        end_T: endness, likewise.
        bm_map_MDT: (2, D, T) in [0, 1], D = T: confidence of segment [t, t + d + 1); 0 where t + d + 1 > T.
        class_logits_RK: one row for the whole video, or rows spread evenly over it. A column beyond the
            number of classes is background.

    Raises:
        ValueError: an array whose shape or values are not as above; the message begins with its name.
    """

    video_id: str
    duration_s: float
    start_T: NDArray[np.float32]
    end_T: NDArray[np.float32]
    bm_map_MDT: NDArray[np.float32]
    class_logits_RK: NDArray[np.float32]

    def __post_init__(self) -> None:
        size = self.num_snippets
        shapes = {"start_T": (size,), "end_T": (size,), "bm_map_MDT": (2, size, size)}
        for name, shape in shapes.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float32))
            _check_probabilities(name, getattr(self, name), shape)
        object.__setattr__(self, "class_logits_RK", np.asarray(self.class_logits_RK, np.float32))
        if self.class_logits_RK.ndim != 2 or not self.class_logits_RK.size:
            raise ValueError(
                f"class_logits_RK: shape {self.class_logits_RK.shape}, expected (R, K), not empty"
            )
        if not np.isfinite(self.class_logits_RK).all():
            raise ValueError("class_logits_RK: holds a value that is not finite")
        if self.bm_map_MDT[:, ~inside(size)].any():
            raise ValueError("bm_map_MDT: not zero where a segment leaves the video")
        if not 0 < self.duration_s < float("inf"):
            raise ValueError(f"duration_s: found {self.duration_s}, expected a finite number above 0")

    @property
    def num_snippets(self) -> int:
        """T."""
        return len(self.start_T)


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
    """

    member: str
    dataset: str
    split: str
    video_ids: tuple[str, ...]
    classes: tuple[str, ...]
    time_base: str


def write_raw(path: Path, predictions: Iterable[RawPrediction], meta: RawMeta) -> None:
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
    schema = _SCHEMA.with_metadata({_META: json.dumps(dataclasses.asdict(meta), sort_keys=True).encode()})
    with (
        written_aside(path) as aside,
        pq.ParquetWriter(aside, schema, compression="zstd", use_dictionary=False) as writer,
    ):
        for begin in range(0, len(rows), _ROWS_PER_GROUP):
            group = [_packed(row) for row in rows[begin : begin + _ROWS_PER_GROUP]]
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

    def read(self, video_id: str) -> RawPrediction:
        """One video's prediction.

        Raises:
            DataError: naming the member, the video and the field that is missing or truncated.
        """
        if video_id not in self._places:
            raise DataError(f"member {self.meta.member}: no prediction of video {video_id} in {self.folder}")
        path, group, row = self._places[video_id]
        return _unpacked(self._group(path, group), row, self.meta)

    def __iter__(self) -> Iterator[RawPrediction]:
        """All videos, shard after shard; memory holds a few at a time."""
        for path, group, row in self._places.values():
            yield _unpacked(self._group(path, group), row, self.meta)

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
                self._held = (path, group, columns(file, group, _SCHEMA.names, self.meta.member))
        return self._held[2]


@lru_cache(maxsize=16)
def inside(size: int) -> NDArray[np.bool_]:
    """(D, T) bool, D = T = `size`: whether segment [t, t + d + 1) ends within the video; read-only."""
    snippet = np.arange(size)
    mask = snippet[:, None] + snippet[None, :] < size
    mask.flags.writeable = False
    return mask


def _check_probabilities(name: str, values: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    if values.shape != shape or not values.size:
        raise ValueError(f"{name}: shape {values.shape}, expected {shape}, not empty")
    if not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"{name}: values in [{values.min()}, {values.max()}], expected [0, 1]")


def _check_rows(rows: list[RawPrediction], meta: RawMeta) -> None:
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


def _check_columns(row: RawPrediction, meta: RawMeta) -> None:
    found, expected = row.class_logits_RK.shape[1], len(meta.classes)
    if found not in (expected, expected + 1):
        raise DataError(
            f"member {meta.member}: class_logits of video {row.video_id} have {found} columns, "
            f"expected {expected} classes, or one more for background"
        )


def _packed(row: RawPrediction) -> dict[str, Any]:
    regression, classification = row.bm_map_MDT[:, inside(row.num_snippets)].astype(np.float16)
    return {
        "video_id": row.video_id,
        "duration_s": float(row.duration_s),
        "num_snippets": row.num_snippets,
        "start": row.start_T,
        "end": row.end_T,
        "map_regression": regression,
        "map_classification": classification,
        "num_logit_rows": len(row.class_logits_RK),
        "class_logits": row.class_logits_RK.reshape(-1),
    }


def _unpacked(table: pa.Table, row: int, meta: RawMeta) -> RawPrediction:
    video_id, size = table["video_id"][row].as_py(), table["num_snippets"][row].as_py()
    where = f"member {meta.member}: video {video_id}"
    num_cells, num_rows = size * (size + 1) // 2, table["num_logit_rows"][row].as_py()
    bm_map_MDT = np.zeros((2, size, size), np.float32)
    for channel, name in enumerate(("map_regression", "map_classification")):
        bm_map_MDT[channel, inside(size)] = floats(table, row, name, num_cells, where)
    logits = floats(table, row, "class_logits", None, where)
    if num_rows < 1 or len(logits) % num_rows:
        raise DataError(f"{where}: class_logits: {len(logits)} values do not make {num_rows} equal rows")
    try:
        prediction = RawPrediction(
            video_id=video_id,
            duration_s=table["duration_s"][row].as_py(),
            start_T=floats(table, row, "start", size, where),
            end_T=floats(table, row, "end", size, where),
            bm_map_MDT=bm_map_MDT,
            class_logits_RK=logits.reshape(num_rows, -1),
        )
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None
    _check_columns(prediction, meta)
    return prediction


def _read_meta(path: Path) -> RawMeta:
    fields = about(path, _META)
    try:
        return RawMeta(**{**fields, **{name: tuple(fields[name]) for name in ("video_ids", "classes")}})
    except (KeyError, TypeError) as error:
        raise DataError(
            f"member {path.parent.name}: {path} does not say what it is about ({error})"
        ) from None
