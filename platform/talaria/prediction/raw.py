"""Boundary-matching maps: what a proposal generator believes about a video before any suppression.

On disk a map is kept as its valid triangle in float16: row d = 0 with T values, row d = 1 with T - 1, and so
on.

Letters: T snippets, D durations (D = T), M map channels (0 regression, 1 classification), R rows of logits,
K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from talaria.config.postprocess import PostprocessConfig
from talaria.prediction.belief import Columns, Scored, check_duration, checked_logits
from talaria.prediction.shards import floats, logit_rows
from talaria_models.bmn.decode import proposals


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
        object.__setattr__(self, "class_logits_RK", checked_logits(self.class_logits_RK))
        if self.bm_map_MDT[:, ~inside(size)].any():
            raise ValueError("bm_map_MDT: not zero where a segment leaves the video")
        check_duration(self.duration_s)

    @property
    def num_snippets(self) -> int:
        """T."""
        return len(self.start_T)

    def with_class_logits(self, class_logits_RK: NDArray[np.floating]) -> RawPrediction:
        """The same with other class logits."""
        return replace(self, class_logits_RK=class_logits_RK)

    def candidates(self, config: PostprocessConfig) -> Scored:
        """The best segments of the map, scored by the powers of `config`."""
        segments_frac, score = proposals(
            self.start_T,
            self.end_T,
            self.bm_map_MDT,
            map_classification_power=config.map_classification_power,
            map_regression_power=config.map_regression_power,
            boundary_power=config.boundary_power,
            top=config.proposals_per_video,
        )
        return Scored(segments_frac, score)


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


def _unpacked(table: pa.Table, row: int, video_id: str, where: str) -> RawPrediction:
    size = table["num_snippets"][row].as_py()
    num_cells = size * (size + 1) // 2
    bm_map_MDT = np.zeros((2, size, size), np.float32)
    for channel, name in enumerate(("map_regression", "map_classification")):
        bm_map_MDT[channel, inside(size)] = floats(table, row, name, num_cells, where)
    return RawPrediction(
        video_id=video_id,
        duration_s=table["duration_s"][row].as_py(),
        start_T=floats(table, row, "start", size, where),
        end_T=floats(table, row, "end", size, where),
        bm_map_MDT=bm_map_MDT,
        class_logits_RK=logit_rows(table, row, where),
    )


MAPS = Columns(
    (
        ("video_id", pa.string()),
        ("duration_s", pa.float64()),
        ("num_snippets", pa.int32()),
        ("start", pa.list_(pa.float32())),
        ("end", pa.list_(pa.float32())),
        ("map_regression", pa.list_(pa.float16())),
        ("map_classification", pa.list_(pa.float16())),
        ("num_logit_rows", pa.int32()),
        ("class_logits", pa.list_(pa.float32())),
    ),
    _packed,
    _unpacked,
)
"""Maps in a shard."""
