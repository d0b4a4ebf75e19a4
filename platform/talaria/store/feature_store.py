"""Dense snippet features on disk: one Parquet shard per video, the contract and the ledger beside them.

Every shard is readable with plain pyarrow: one row per snippet with `snippet_idx`, `feature` (fixed-shape
tensor of C numbers) and `logits` (the backbone's own class logits, background last).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from talaria.config.fingerprint import UNLESS_NONE, differences, fingerprint, plain
from talaria.errors import DataError
from talaria.store.files import read_json, write_json, written_aside

CONTRACT = "contract.json"
_GROUP_SNIPPETS = 1024
"""Snippets of a row group: what a shard that is being written holds in memory."""


@dataclass(frozen=True)
class FeatureContract:
    """Everything that decides the numbers in a store; consumers compare it with what they were trained on.

    Attributes:
        backbone: the backbone's config as a dict, its `name` included.
        weights: digest of its weights.
        fps: frames per second after resampling by time stamps.
        first_frame_idx: index of the first frame of clip 0, negative where the edge frame repeats.
        layer: which tensor of the backbone is stored.
        classes: columns of the logits; a last logit without a name here is background.
        published: sha256 of the published file that the weights are made of or were fine-tuned from, if any.
        flow: method and bound of the flow that the backbone is given; None for colours.
    """

    backbone: dict[str, Any]
    weights: str
    fps: float
    num_frames: int
    stride_frames: int
    height: int
    width: int
    first_frame_idx: int
    resize: str
    dtype: str
    layer: str
    feature_dim: int
    classes: tuple[str, ...]
    published: str | None = field(default=None, metadata=UNLESS_NONE)
    flow: dict[str, Any] | None = field(default=None, metadata=UNLESS_NONE)

    @property
    def fingerprint(self) -> str:
        """Digest of all fields."""
        return fingerprint(self)

    @property
    def stride_s(self) -> float:
        """Seconds from one snippet to the next."""
        return self.stride_frames / self.fps

    def require(self, expected: FeatureContract, consumer: str) -> None:
        """Stop if `consumer` was made for other features.

        Raises:
            DataError: naming every field that differs.
        """
        if self != expected:
            changed = differences(expected, self)
            raise DataError([f"{consumer}: features do not fit its contract: {clause}" for clause in changed])


@dataclass(frozen=True)
class VideoFeatures:
    """The snippets of one video: `features_TC` float32, `logits_TK` float32, and its decoded length."""

    features_TC: NDArray[np.float32]
    logits_TK: NDArray[np.float32]
    decoded_s: float


@dataclass(frozen=True)
class ShardFacts:
    """What a shard says of itself: its snippets, the decoded length, and what was odd about the video."""

    num_snippets: int
    decoded_s: float
    note: str


class ShardWriter:
    """Writes one video's snippets as they come; memory does not grow with their number.

    The same snippets give the same bytes, in whatever pieces they arrive.
    """

    def __init__(self, video_id: str, path: Path) -> None:
        self._video_id = video_id
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self._num_waiting = self._num_written = 0

    def append(self, features_KC: NDArray[Any], logits_KK: NDArray[Any]) -> None:
        """Add snippets.

        Args:
            features_KC: (K, C) float16 or float32, kept as it is.
            logits_KK: (K, classes + 1) of the same kind.
        """
        self._waiting.append((features_KC, logits_KK))
        self._num_waiting += len(features_KC)
        while self._num_waiting >= _GROUP_SNIPPETS:
            self._write(_GROUP_SNIPPETS)

    def close(self, decoded_s: float, note: str) -> int:
        """Finish the file; returns its number of snippets, of which there must be some.

        Args:
            decoded_s: length that was really decoded.
            note: what was odd about the video.
        """
        if self._num_waiting:
            self._write(self._num_waiting)
        assert self._writer is not None
        about = {"video_id": self._video_id, "decoded_s": decoded_s, "note": note}
        self._writer.add_key_value_metadata({"talaria": json.dumps(about)})
        self._writer.close()
        return self._num_written

    def _write(self, num_rows: int) -> None:
        """The first waiting rows as one row group."""
        features, logits = (np.concatenate(arrays) for arrays in zip(*self._waiting, strict=True))
        columns = {
            "snippet_idx": pa.array(
                np.arange(self._num_written, self._num_written + num_rows, dtype=np.int32)
            ),
            "feature": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(features[:num_rows])),
            "logits": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(logits[:num_rows])),
        }
        table = pa.table(columns)
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path, table.schema, compression="zstd", use_dictionary=False, write_page_checksum=True
            )
        self._writer.write_table(table)
        self._waiting = [(features[num_rows:], logits[num_rows:])]
        self._num_waiting -= num_rows
        self._num_written += num_rows


class FeatureStore:
    """A folder of shards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, video_id: str) -> Path:
        """Where the shard of a video lies; ids were checked to be plain names when annotations were read."""
        return self.folder / "videos" / f"{video_id}.parquet"

    @property
    def contract(self) -> FeatureContract:
        """The contract that all shards keep.

        Raises:
            DataError: the folder holds none, or one that this version does not know.
        """
        path = self.folder / CONTRACT
        try:
            fields = read_json(path)
            return FeatureContract(**{**fields, "classes": tuple(fields["classes"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: is no feature contract ({type(error).__name__}); expected a folder of features"
            ) from None

    def write_contract(self, contract: FeatureContract) -> None:
        """Put the contract beside the shards."""
        write_json(self.folder / CONTRACT, plain(contract))

    @contextmanager
    def writer(self, video_id: str) -> Iterator[ShardWriter]:
        """Where one video's snippets go. The shard takes its place when the block ends without an error."""
        with written_aside(self.path(video_id)) as aside:
            yield ShardWriter(video_id, aside)

    def write(
        self, video_id: str, features_TC: NDArray[Any], logits_TK: NDArray[Any], decoded_s: float
    ) -> None:
        """Write one video's shard at once: (T, C) and (T, K), T >= 1; see `ShardWriter`."""
        with self.writer(video_id) as shard:
            shard.append(features_TC, logits_TK)
            shard.close(decoded_s, "")

    def read(self, video_id: str) -> VideoFeatures:
        """The snippets of one video.

        Raises:
            DataError: the shard is missing or damaged.
        """
        path = self.path(video_id)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table, facts = file.read(), _facts(file)
            features, logits = (_dense(table[name]) for name in ("feature", "logits"))
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: no readable features of video {video_id} ({type(error).__name__}); "
                f"delete {self.folder} to compute them again"
            ) from None
        return VideoFeatures(features, logits, facts.decoded_s)

    def facts(self, video_id: str) -> ShardFacts | None:
        """What the end of a video's shard says; None if there is no whole one."""
        try:
            with pq.ParquetFile(self.path(video_id)) as file:
                return _facts(file)
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
            return None


def _facts(file: pq.ParquetFile) -> ShardFacts:
    about = json.loads(file.metadata.metadata[b"talaria"])
    return ShardFacts(file.metadata.num_rows, float(about["decoded_s"]), str(about["note"]))


def _dense(column: pa.ChunkedArray) -> NDArray[np.float32]:
    dense: NDArray[np.float32] = column.combine_chunks().to_numpy_ndarray().astype(np.float32)
    return dense
