"""Error analysis of detections in the manner of DETAD: false positives, sensitivity, false negatives.

Source: Alwassel et al., "Diagnosing Error in Temporal Action Detectors", ECCV 2018 (arXiv 1807.10706). Where
its text leaves a choice open, the rules of its code are followed; the docstrings say where not.

Letters: T thresholds, V videos, E kinds of error, S slices, B buckets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from talaria.evaluation.arrays import Detections, FloatArray, GroundTruth
from talaria.evaluation.detection import ACTIVITYNET_THRESHOLDS
from talaria.evaluation.false_positives import (
    ERRORS,
    ErrorType,
    FalsePositives,
    analyse_false_positives,
)
from talaria.evaluation.normalised import Judged
from talaria.evaluation.sensitivity import (
    ACTIVITYNET_CHARACTERISTICS,
    Buckets,
    Characteristics,
    Sensitivity,
    analyse_sensitivity,
)


@dataclass(frozen=True, eq=False)
class ErrorAnalysis:
    """What is wrong with a set of detections.

    Attributes:
        tiou_thresholds: (T,).
        num_videos: V.
        num_truths: annotated segments.
        num_detections: scored segments.
        false_positives: kinds of mistake and what each costs.
        sensitivity: scores and misses by characteristic of the truths.
    """

    tiou_thresholds: FloatArray
    num_videos: int
    num_truths: int
    num_detections: int
    false_positives: FalsePositives
    sensitivity: Sensitivity

    def as_json(self) -> dict[str, Any]:
        """Finite numbers, or null for what an empty slice or bucket does not have.

        Lists are in the order of `tiou`. All of `average_...` and `missed` are means over the thresholds.
        """
        wrong, felt = self.false_positives, self.sensitivity
        return {
            "tiou": self.tiou_thresholds.tolist(),
            "videos": self.num_videos,
            "truths": self.num_truths,
            "detections": self.num_detections,
            "average_map": _number(wrong.map_T.mean()),
            "average_map_n": felt.map_n,
            "missed": felt.missed,
            "false_positives": {
                "average_map_n": _number(wrong.map_n_T.mean()),
                "counts": {kind.key: wrong.counts_TE[:, kind].tolist() for kind in ErrorType},
                "profile": _profile(wrong),
                "gained_without": {kind.key: _gain(wrong, row) for row, kind in enumerate(ERRORS)},
            },
            "characteristics": {
                buckets.characteristic.name: _bucket_rows(buckets) for buckets in felt.by_characteristic
            },
        }


def analyse_errors(
    truth: GroundTruth,
    duration_s_V: FloatArray,
    detections: Detections,
    tiou_thresholds: FloatArray = ACTIVITYNET_THRESHOLDS,
    characteristics: Characteristics = ACTIVITYNET_CHARACTERISTICS,
) -> ErrorAnalysis:
    """Sort the mistakes of some detections into kinds and say what each costs.

    Args:
        truth: annotated segments.
        duration_s_V: (V,) length of each video, above 0; NaN where unknown.
        detections: scored segments; those of unknown videos are background.
        tiou_thresholds: (T,) in (0, 1].
        characteristics: limits of the buckets; `THUMOS14_CHARACTERISTICS` suit short actions in long videos.

    Raises:
        DataError: if there are no truths at all.
        ValueError: if a threshold, label or duration is out of range.
    """
    judged = Judged.of(truth, detections, tiou_thresholds)
    sensitivity = analyse_sensitivity(judged, duration_s_V, characteristics)
    return ErrorAnalysis(
        judged.thresholds,
        len(truth.video_ids),
        truth.label_idx.size,
        detections.label_idx.size,
        analyse_false_positives(judged),
        sensitivity,
    )


def _profile(wrong: FalsePositives) -> list[dict[str, Any]]:
    """Each slice of the ranking: its size and the share of every kind, averaged over thresholds."""
    sizes_S = wrong.profile_TSE[0].sum(axis=1)
    return [
        {
            "slice": f"{row + 1}G",
            "detections": int(size),
            "shares": {kind.key: _number(shares_E[kind]) for kind in ErrorType},
        }
        for row, (size, shares_E) in enumerate(zip(sizes_S, wrong.profile_shares(), strict=True))
    ]


def _gain(wrong: FalsePositives, row: int) -> dict[str, Any]:
    return {
        "average_map": float(wrong.gain_map_ET[row].mean()),
        "average_map_n": float(wrong.gain_map_n_ET[row].mean()),
        "map_at_tiou": wrong.gain_map_ET[row].tolist(),
        "map_n_at_tiou": wrong.gain_map_n_ET[row].tolist(),
    }


def _bucket_rows(found: Buckets) -> dict[str, Any]:
    what = found.characteristic
    return {
        "unit": what.unit,
        "unknown": found.num_unknown,
        "buckets": [
            {
                "name": name,
                "up_to": _number(what.up_to[row]),
                "truths": int(found.num_truths_B[row]),
                "average_map_n": _number(found.map_n_B[row]),
                "missed": _number(found.missed_B[row]),
            }
            for row, name in enumerate(what.buckets)
        ],
    }


def _number(value: float | np.floating[Any]) -> float | None:
    return float(value) if math.isfinite(value) else None
