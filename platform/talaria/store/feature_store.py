"""Dense snippet features on disk: one Parquet shard per video, the contract and the ledger beside them.

Every shard is readable with plain pyarrow: one row per snippet with `snippet_idx`, `feature` (fixed-shape
tensor of C numbers) and `logits` (the backbone's own class logits, background last).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from talaria.config.fingerprint import differences, fingerprint, plain
from talaria.errors import DataError
from talaria.store.files import read_json, write_json, written_aside

CONTRACT = "contract.json"


@dataclass(frozen=True)
class FeatureContract:
    """Everything that decides the numbers in a store; consumers compare it with what they were trained on.

    Attributes:
        backbone: the backbone's config as a dict, its `name` included.
        weights: digest of its weights.
        fps: frames per second after resampling by time stamps.
        first_frame_idx: index of the first frame of clip 0, negative where the edge frame repeats.
        layer: which tensor of the backbone is stored.
        classes: columns of the logits; the last logit, without a name here, is background.
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

    def write(
        self, video_id: str, features_TC: NDArray[Any], logits_TK: NDArray[Any], decoded_s: float
    ) -> None:
        """Write one video's shard aside and put it in place; the same input gives the same bytes.

        Args:
            video_id: names the file.
            features_TC: (T, C) float16 or float32, kept as it is; T >= 1.
            logits_TK: (T, K) of the same kind.
            decoded_s: length that was really decoded.
        """
        arrays = {
            "snippet_idx": pa.array(np.arange(len(features_TC), dtype=np.int32)),
            "feature": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(features_TC)),
            "logits": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(logits_TK)),
        }
        about = {"video_id": video_id, "decoded_s": decoded_s}
        table = pa.table(arrays).replace_schema_metadata({"talaria": json.dumps(about)})
        with written_aside(self.path(video_id)) as aside:
            pq.write_table(table, aside, compression="zstd", use_dictionary=False, write_page_checksum=True)

    def read(self, video_id: str) -> VideoFeatures:
        """The snippets of one video.

        Raises:
            DataError: the shard is missing or damaged.
        """
        path = self.path(video_id)
        try:
            table = pq.read_table(path, page_checksum_verification=True)
            decoded_s = float(json.loads(table.schema.metadata[b"talaria"])["decoded_s"])
            features, logits = (_dense(table[name]) for name in ("feature", "logits"))
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: no readable features of video {video_id} ({type(error).__name__}); "
                f"delete {self.folder} to compute them again"
            ) from None
        return VideoFeatures(features, logits, decoded_s)


def _dense(column: pa.ChunkedArray) -> NDArray[np.float32]:
    dense: NDArray[np.float32] = column.combine_chunks().to_numpy_ndarray().astype(np.float32)
    return dense
