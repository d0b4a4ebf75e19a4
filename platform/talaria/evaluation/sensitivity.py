"""How mAP and the share of missed truths depend on what the truths are like.

The characteristics and their buckets are those of DETAD (Alwassel et al. 2018, arXiv 1807.10706): the length
of a truth, the share of its video that it covers, and the number of truths in its video. That number counts
all labels, as the file that DETAD publishes for THUMOS14 does: its video_test_0000273 has 11 truths of each
of two labels, and every one of them says 22.

Letters: T thresholds, N detections, G truths, V videos, B buckets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from talaria.evaluation.arrays import BoolArray, FloatArray, GroundTruth, IntArray
from talaria.evaluation.normalised import Judged, class_mean, precision_when_taken, precisions_without

UNKNOWN_BUCKET = -1
"""Bucket of a truth whose characteristic is not known."""

NEGLIGIBLE_PRECISION = 0.05
"""A truth that is taken where the normalised precision is this low or lower counts as missed, as in DETAD."""


@dataclass(frozen=True)
class Characteristic:
    """A number that every truth has, cut into buckets.

    Attributes:
        name: `length`, `coverage` or `instances`.
        unit: of the number, in words.
        buckets: (B,) names, from small to large.
        up_to: (B,) largest number in each of two or more buckets, ascending; the last is infinite.
        whole: whether the numbers are counts, from 1.
    """

    name: str
    unit: str
    buckets: tuple[str, ...]
    up_to: tuple[float, ...]
    whole: bool = False

    def bucket_of(self, values_G: FloatArray) -> IntArray:
        """(G,) bucket of each number; UNKNOWN_BUCKET for NaN."""
        return np.where(np.isnan(values_G), UNKNOWN_BUCKET, np.searchsorted(self.up_to, values_G))

    def ranges(self) -> tuple[str, ...]:
        """(B,) what each bucket holds, for a reader; it holds its upper end, and its lower if counts."""
        middle = zip(self.up_to[:-2], self.up_to[1:-1], strict=True)
        return (
            f"{'' if self.whole and self.up_to[0] == 1 else '≤ '}{self.up_to[0]:g}",
            *(f"{low + self.whole:g}–{high:g}" for low, high in middle),
            f"> {self.up_to[-2]:g}",
        )


Characteristics: TypeAlias = tuple[Characteristic, ...]

_SIZES = ("XS", "S", "M", "L", "XL")


def _characteristics(
    length_s: tuple[float, ...], coverage_frac: tuple[float, ...], instances: tuple[float, ...]
) -> Characteristics:
    """The three of DETAD with these upper ends; the last bucket of each has none.

    DETAD drops truths that end after their video and so cover more than all of it; mAP counts them, so here
    they are in the last bucket.
    """
    return (
        Characteristic("length", "s", _SIZES, (*length_s, math.inf)),
        Characteristic("coverage", "share of the video", _SIZES, (*coverage_frac, math.inf)),
        Characteristic("instances", "truths in the video", _SIZES[:4], (*instances, math.inf), True),
    )


ACTIVITYNET_CHARACTERISTICS = _characteristics((30, 60, 120, 180), (0.2, 0.4, 0.6, 0.8), (1, 4, 8))
THUMOS14_CHARACTERISTICS = _characteristics((3, 6, 12, 18), (0.02, 0.04, 0.06, 0.08), (1, 40, 80))


@dataclass(frozen=True, eq=False)
class Buckets:
    """What becomes of the truths in each bucket of one characteristic.

    Attributes:
        characteristic: what it is, and the buckets' limits.
        num_truths_B: (B,) truths in each bucket.
        num_unknown: truths in none, because the duration of their video is unknown.
        map_n_B: (B,) normalised mAP, averaged over thresholds; NaN for an empty bucket.
        missed_B: (B,) share of the truths that are missed, averaged over thresholds; NaN for an empty bucket.
    """

    characteristic: Characteristic
    num_truths_B: IntArray
    num_unknown: int
    map_n_B: FloatArray
    missed_B: FloatArray


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """All truths together, and by characteristic.

    Attributes:
        map_n: normalised mAP of all detections, averaged over thresholds.
        missed: share of all truths that are missed, averaged over thresholds.
        by_characteristic: one entry per characteristic.
    """

    map_n: float
    missed: float
    by_characteristic: tuple[Buckets, ...]


def analyse_sensitivity(
    judged: Judged,
    duration_s_V: FloatArray,
    characteristics: Characteristics = ACTIVITYNET_CHARACTERISTICS,
) -> Sensitivity:
    """Score the truths of every bucket by themselves.

    In a bucket's score a detection that takes a truth outside the bucket, at any threshold, is neither right
    nor wrong: it is left out. All others that take none are false positives. Classes without truths in the
    bucket do not enter its mean.

    Args:
        judged: who takes whom.
        duration_s_V: (V,) above 0; NaN where unknown, coverage then is unknown too.
        characteristics: limits of the buckets; THUMOS14_CHARACTERISTICS suit short actions in long videos.

    Raises:
        ValueError: if a duration is not as above, or a characteristic has another name than those here.
    """
    nothing_1N = np.zeros((1, judged.order.size), np.bool_)
    precision_TG = precision_when_taken(judged)
    missed_TG = ~(precision_TG > NEGLIGIBLE_PRECISION)
    numbers = characteristic_values(judged.truth, duration_s_V)
    strange = [wanted.name for wanted in characteristics if wanted.name not in numbers]
    if strange:
        raise ValueError(f"characteristics {strange} are unknown, expected some of {sorted(numbers)}")
    return Sensitivity(
        float(class_mean(precisions_without(judged, nothing_1N, normalised=True)).mean()),
        float(missed_TG.mean()),
        tuple(_buckets(judged, missed_TG, wanted, numbers[wanted.name]) for wanted in characteristics),
    )


def characteristic_values(truth: GroundTruth, duration_s_V: FloatArray) -> dict[str, FloatArray]:
    """Length in seconds, coverage as a fraction and instances of every truth, (G,) each.

    Raises:
        ValueError: if there is not one duration per video, or one is neither finite and above 0 nor NaN.
    """
    durations = np.asarray(duration_s_V, np.float64)
    if durations.shape != (len(truth.video_ids),):
        raise ValueError(f"duration_s_V has shape {durations.shape}, expected ({len(truth.video_ids)},)")
    if not (np.isnan(durations) | ((durations > 0) & np.isfinite(durations))).all():
        raise ValueError("duration_s_V holds a value that is neither finite and above 0 nor NaN")
    length_s = truth.end_s - truth.start_s
    truths_per_video = np.bincount(truth.video_idx, minlength=durations.size)
    return {
        "length": length_s,
        "coverage": length_s / durations[truth.video_idx],
        "instances": truths_per_video[truth.video_idx].astype(np.float64),
    }


def _buckets(
    judged: Judged, missed_TG: BoolArray, characteristic: Characteristic, values_G: FloatArray
) -> Buckets:
    bucket_G = characteristic.bucket_of(values_G)
    members = [bucket_G == bucket for bucket in range(len(characteristic.buckets))]
    return Buckets(
        characteristic,
        np.array([inside_G.sum() for inside_G in members], np.int64),
        int((bucket_G == UNKNOWN_BUCKET).sum()),
        np.array([_map_n_of(judged, inside_G) for inside_G in members]),
        np.array(
            [missed_TG[:, inside_G].mean() if inside_G.any() else math.nan for inside_G in members],
            np.float64,
        ),
    )


def _map_n_of(judged: Judged, inside_G: BoolArray) -> float:
    """Normalised mAP of the chosen truths, averaged over thresholds."""
    gone_N = np.zeros(judged.order.size + 1, np.bool_)
    gone_N[judged.taker_TG[:, ~inside_G]] = True  # the last cell stands for nobody
    return float(class_mean(precisions_without(judged, gone_N[None, :-1], inside_G, normalised=True)).mean())
