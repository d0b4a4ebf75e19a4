"""Class logits of whole videos: a classifier's, or those of the backbone's own clips, pooled; kept in shards.

Letters: K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from talaria.errors import DataError
from talaria.prediction.models import ClassLogits
from talaria.store.feature_store import FeatureStore, VideoFeatures
from talaria.store.files import written_aside
from talaria_models.classifier.clips import pooled_clip_logits

LogitRow = tuple[str, NDArray[np.float32]]
"""A video's id and its (K,) logits."""
_SCHEMA = pa.schema([("video_id", pa.string()), ("logits", pa.list_(pa.float32()))])


@dataclass(frozen=True)
class ClassifierPlan:
    """What classifies videos by the features of one backbone; a `ShardPlan` of `talaria.prediction.predict`.

    Attributes:
        out: absolute folder of the artifact.
        features: absolute folder of the feature store.
        classifier: absolute folder of the classifier; None pools the backbone's own clip logits.
        num_classes: K.
        video_ids: videos to classify, in a fixed order.
    """

    out: str
    features: str
    classifier: str | None
    num_classes: int
    video_ids: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The folder of shards."""
        return Path(self.out) / "logits"

    def load(self) -> Callable[[str], LogitRow]:
        """The classifier."""
        classifier = Path(self.classifier) if self.classifier else None
        model = VideoClassifierModel(Path(self.features), classifier, self.num_classes)
        return lambda video_id: (video_id, model.logits(model.store.read(video_id)))

    def write(self, path: Path, rows: list[LogitRow]) -> None:
        """One shard of logits."""
        write_logits(path, rows)


class VideoClassifierModel:
    """A classifier with its features, or without one the backbone's clip scores, ready to classify."""

    def __init__(self, features: Path, classifier: Path | None, num_classes: int) -> None:
        """Load the classifier and check that it was trained on such features.

        Args:
            features: folder of the feature store.
            classifier: folder of the classifier; None pools the backbone's own clip logits.
            num_classes: K.

        Raises:
            DataError: the classifier was trained on other features; the fields that differ are named.
        """
        self.store = FeatureStore(features)
        self._num_classes = num_classes
        self._trained = ClassLogits(self.store, classifier, None) if classifier else None

    @torch.inference_mode()
    def logits(self, stored: VideoFeatures) -> NDArray[np.float32]:
        """(K,) class logits of one video, without background."""
        if self._trained is None:
            return pooled_clip_logits(stored.logits_TK, self._num_classes)
        logits_K: NDArray[np.float32] = self._trained(stored)[0]
        return logits_K


def write_logits(path: Path, rows: Iterable[LogitRow]) -> None:
    """Write one shard, whole or not at all; its bytes depend on the rows alone."""
    listed = [{"video_id": video_id, "logits": logits_K} for video_id, logits_K in rows]
    with written_aside(path) as aside:
        pq.write_table(pa.Table.from_pylist(listed, schema=_SCHEMA), aside, compression="zstd")


def read_logits(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The (K,) logits of all videos in a folder of shards, by video; 1 KB each for 200 classes.

    Raises:
        DataError: the folder holds no shard, or one that is damaged.
    """
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        raise DataError(f"{folder}: holds no class logits (*.parquet); run jobs/predict.py again")
    logits: dict[str, NDArray[np.float32]] = {}
    for path in paths:
        try:
            rows: list[dict[str, Any]] = pq.read_table(path, columns=_SCHEMA.names).to_pylist()
            logits.update({row["video_id"]: np.array(row["logits"], np.float32) for row in rows})
        except (OSError, pa.ArrowException, TypeError, ValueError) as error:
            raise DataError(f"{path}: is damaged or holds no class logits ({error})") from None
    return logits
