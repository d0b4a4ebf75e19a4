"""Refined proposals: what a refiner believes about the segments that a proposal generator offered it.

Letters: P proposals, R rows of logits, K classes.
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
class RefinedPrediction:
    """What one refiner, or a fusion of several over the same proposals, believes about one video.

    Attributes:
        duration_s: length of the video in seconds.
        proposals_P2: the segments that were refined, fractions of the video, best first.
        proposal_scores_P: their scores from the generator, at or above 0.
        segments_P2: where the refiner puts each, start <= end, in [0, 1].
        scores_P: its confidence in each, in [0, 1].
        class_logits_RK: as of `RawPrediction`.

    Raises:
        ValueError: an array whose shape or values are not as above; the message begins with its name.
    """

    video_id: str
    duration_s: float
    proposals_P2: NDArray[np.float32]
    proposal_scores_P: NDArray[np.float32]
    segments_P2: NDArray[np.float32]
    scores_P: NDArray[np.float32]
    class_logits_RK: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.scores_P)
        shapes = {
            "proposals_P2": (count, 2),
            "proposal_scores_P": (count,),
            "segments_P2": (count, 2),
            "scores_P": (count,),
        }
        check_segments(self, shapes)

    def with_class_logits(self, class_logits_RK: NDArray[np.floating]) -> RefinedPrediction:
        """The same with other class logits."""
        return replace(self, class_logits_RK=class_logits_RK)

    def candidates(self, config: PostprocessConfig) -> Scored:
        """The refined segments; score = generator's ^ proposal_power * refiner's ^ refined_power."""
        own_P = self.proposal_scores_P.astype(np.float64) ** config.proposal_power
        score_P = own_P * self.scores_P.astype(np.float64) ** config.refined_power
        best = np.argsort(-score_P, kind="stable")[: config.proposals_per_video]
        return Scored(self.segments_P2.astype(np.float64)[best], score_P[best])


def _packed(row: RefinedPrediction) -> dict[str, Any]:
    return {
        "video_id": row.video_id,
        "duration_s": float(row.duration_s),
        "num_proposals": len(row.scores_P),
        "proposals": row.proposals_P2.reshape(-1),
        "proposal_scores": row.proposal_scores_P,
        "segments": row.segments_P2.reshape(-1),
        "scores": row.scores_P,
        "num_logit_rows": len(row.class_logits_RK),
        "class_logits": row.class_logits_RK.reshape(-1),
    }


def _unpacked(table: pa.Table, row: int, video_id: str, where: str) -> RefinedPrediction:
    count = table["num_proposals"][row].as_py()

    def column(name: str, width: int) -> NDArray[np.float32]:
        return floats(table, row, name, count * width, where) if count else np.zeros(0, np.float32)

    return RefinedPrediction(
        video_id=video_id,
        duration_s=table["duration_s"][row].as_py(),
        proposals_P2=column("proposals", 2).reshape(-1, 2),
        proposal_scores_P=column("proposal_scores", 1),
        segments_P2=column("segments", 2).reshape(-1, 2),
        scores_P=column("scores", 1),
        class_logits_RK=logit_rows(table, row, where),
    )


REFINED = Columns(
    (
        ("video_id", pa.string()),
        ("duration_s", pa.float64()),
        ("num_proposals", pa.int32()),
        ("proposals", pa.list_(pa.float32())),
        ("proposal_scores", pa.list_(pa.float32())),
        ("segments", pa.list_(pa.float32())),
        ("scores", pa.list_(pa.float32())),
        ("num_logit_rows", pa.int32()),
        ("class_logits", pa.list_(pa.float32())),
    ),
    _packed,
    _unpacked,
)
"""Refined proposals in a shard."""
