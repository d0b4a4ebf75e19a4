"""Segments that a detector found by itself, with classes of their own, neither from a map nor from proposals.

Letters: P segments, R rows of logits, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from talaria.config.postprocess import PostprocessConfig
from talaria.prediction.belief import Columns, Scored, check_segments
from talaria.prediction.shards import floats, logit_rows


@dataclass(frozen=True, eq=False)
class FoundPrediction:
    """What one detector that finds segments by itself believes about one video.

    Attributes:
        duration_s: length of the video in seconds.
        segments_P2: start <= end, fractions of the video in [0, 1].
        scores_P: in [0, 1], whichever the class.
        class_scores_PK: each segment's class scores in [0, 1], without background.
        class_logits_RK: as of `RawPrediction`.

    Raises:
        ValueError: an array whose shape or values are not as above; the message begins with its name.
    """

    video_id: str
    duration_s: float
    segments_P2: NDArray[np.float32]
    scores_P: NDArray[np.float32]
    class_scores_PK: NDArray[np.float32]
    class_logits_RK: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.scores_P)
        num_classes = self.class_scores_PK.shape[-1]
        shapes = {"segments_P2": (count, 2), "scores_P": (count,), "class_scores_PK": (count, num_classes)}
        check_segments(self, shapes)

    def with_class_logits(self, class_logits_RK: NDArray[np.floating]) -> FoundPrediction:
        """The same with other class logits."""
        return replace(self, class_logits_RK=class_logits_RK)

    def candidates(self, config: PostprocessConfig) -> Scored:
        """The segments; score = its own ^ refined_power."""
        score_P = self.scores_P.astype(np.float64) ** config.refined_power
        best = np.argsort(-score_P, kind="stable")[: config.proposals_per_video]
        return Scored(self.segments_P2.astype(np.float64)[best], score_P[best], self.class_scores_PK[best])


def _packed(row: FoundPrediction) -> dict[str, Any]:
    return {
        "video_id": row.video_id,
        "duration_s": float(row.duration_s),
        "num_segments": len(row.scores_P),
        "num_classes": row.class_scores_PK.shape[1],
        "found_segments": row.segments_P2.reshape(-1),
        "found_scores": row.scores_P,
        "class_scores": row.class_scores_PK.reshape(-1).astype(np.float16),
        "num_logit_rows": len(row.class_logits_RK),
        "class_logits": row.class_logits_RK.reshape(-1),
    }


def _unpacked(table: pa.Table, row: int, video_id: str, where: str) -> FoundPrediction:
    count, num_classes = table["num_segments"][row].as_py(), table["num_classes"][row].as_py()

    def column(name: str, width: int) -> NDArray[np.float32]:
        found = floats(table, row, name, count * width, where) if count else np.zeros(0, np.float32)
        return found.reshape(-1, width)

    return FoundPrediction(
        video_id=video_id,
        duration_s=table["duration_s"][row].as_py(),
        segments_P2=column("found_segments", 2),
        scores_P=column("found_scores", 1)[:, 0],
        class_scores_PK=column("class_scores", num_classes),
        class_logits_RK=logit_rows(table, row, where),
    )


FOUND = Columns(
    (
        ("video_id", pa.string()),
        ("duration_s", pa.float64()),
        ("num_segments", pa.int32()),
        ("num_classes", pa.int32()),
        ("found_segments", pa.list_(pa.float32())),
        ("found_scores", pa.list_(pa.float32())),
        ("class_scores", pa.list_(pa.float16())),
        ("num_logit_rows", pa.int32()),
        ("class_logits", pa.list_(pa.float32())),
    ),
    _packed,
    _unpacked,
)
"""Found segments in a shard."""
