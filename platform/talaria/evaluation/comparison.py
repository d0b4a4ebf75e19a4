"""Whether one set of detections is better than another on the same videos, or only luckier.

A paired bootstrap over videos: both sets are scored on the same draws, so what makes a draw easy or hard
cancels in the difference.

Average precision is higher on draws than on the videos they are drawn from, because the copies of a hit stand
side by side in the ranking: with 46 truths a class by five standard deviations of the draws, so that the
quantiles of the draws would leave out the measured score itself. Every interval is therefore moved until the
median of its draws is the measured value. It holds that value, and says how far the score on another sample
of as many videos may be from it.

Letters: T thresholds, K classes, V videos, R draws, S sets of detections.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np

from talaria.evaluation.arrays import Detections, FloatArray, GroundTruth, IntArray
from talaria.evaluation.detection import ACTIVITYNET_THRESHOLDS, checked_thresholds
from talaria.evaluation.resampling import WeightedLists, draw_videos


@dataclass(frozen=True, eq=False)
class Estimate:
    """Measured values with their intervals: three arrays of one shape.

    Attributes:
        value: on all videos.
        low: lower end of the interval; NaN where fewer than two draws have a value.
        high: upper end; NaN likewise.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray

    def as_json(self) -> dict[str, Any]:
        """Numbers or lists of them, as the arrays are; null for NaN."""
        return {name: _plain(getattr(self, name)) for name in ("value", "low", "high")}


@dataclass(frozen=True, eq=False)
class Pair:
    """One score of both sets.

    Attributes:
        first: in [0, 1].
        second: in [0, 1].
        difference: `second` less `first`; its interval is that of the paired draws.
    """

    first: Estimate
    second: Estimate
    difference: Estimate

    def as_json(self) -> dict[str, Any]:
        """See `Estimate.as_json`."""
        return {name: getattr(self, name).as_json() for name in ("first", "second", "difference")}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two sets of detections on the same videos.

    Attributes:
        tiou_thresholds: (T,).
        classes: (K,) labels.
        num_truths: (K,) truths of each class.
        num_videos: V, with truths or without.
        num_resamples: R.
        confidence: what the intervals are meant to hold, in (0, 1).
        seed: of the draws.
        average_map: shape ().
        map_at_tiou: (T,).
        class_ap: (K,) average precision, averaged over thresholds; NaN for classes without truths. Its draws
            are those that hold truths of the class.
        second_better: share of draws in which the second set has the higher average mAP, when the
            differences are moved as they are for the interval.
    """

    tiou_thresholds: FloatArray
    classes: tuple[str, ...]
    num_truths: IntArray
    num_videos: int
    num_resamples: int
    confidence: float
    seed: int
    average_map: Pair
    map_at_tiou: Pair
    class_ap: Pair
    second_better: float

    def moved_most(self) -> list[int]:
        """Numbers of the classes with truths, by falling size of the difference."""
        size_K = np.abs(self.class_ap.difference.value)
        return sorted(np.flatnonzero(self.num_truths).tolist(), key=lambda k: (-size_K[k], k))

    def as_json(self) -> dict[str, Any]:
        """Finite numbers, or null for an interval that fewer than two draws would make.

        Lists of `map_at_tiou` are in the order of `tiou`; `per_class` has the classes with truths, those that
        moved most first.
        """
        difference = self.average_map.difference
        return {
            "average_map_first": _plain(self.average_map.first.value),
            "average_map_second": _plain(self.average_map.second.value),
            "difference": _plain(difference.value),
            "difference_low": _plain(difference.low),
            "difference_high": _plain(difference.high),
            "second_better": self.second_better,
            "bootstrap": {
                "videos": self.num_videos,
                "resamples": self.num_resamples,
                "confidence": self.confidence,
                "seed": self.seed,
            },
            "tiou": self.tiou_thresholds.tolist(),
            "average_map": self.average_map.as_json(),
            "map_at_tiou": self.map_at_tiou.as_json(),
            "per_class": [self._class_row(k) for k in self.moved_most()],
        }

    def _class_row(self, k: int) -> dict[str, Any]:
        ap = self.class_ap
        return {
            "label": self.classes[k],
            "truths": int(self.num_truths[k]),
            "first": _plain(ap.first.value[k]),
            "second": _plain(ap.second.value[k]),
            "difference": _plain(ap.difference.value[k]),
            "difference_low": _plain(ap.difference.low[k]),
            "difference_high": _plain(ap.difference.high[k]),
        }


def compare(
    truth: GroundTruth,
    first: Detections,
    second: Detections,
    tiou_thresholds: FloatArray = ACTIVITYNET_THRESHOLDS,
    *,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int,
) -> Comparison:
    """Score both, and draw the videos again and again to see how much of the difference is chance.

    A draw takes as many videos as there are, with replacement. A class that has no truths in a draw is not in
    the mean over classes, as it would not be for a set of videos without it. Detections of unknown videos are
    false positives in every draw.

    Args:
        truth: what both are judged by.
        first: one set.
        second: the other; the difference is this one less the first.
        tiou_thresholds: (T,) in (0, 1].
        num_resamples: draws, 1 or more.
        confidence: share of the draws inside an interval, in (0, 1).
        seed: 0 or more; the same seed makes the same draws.

    Raises:
        DataError: if there are no truths at all.
        ValueError: if a threshold, label, count, confidence or seed is out of range.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 10 and 13.
    """
    if num_resamples < 1 or not 0 < confidence < 1 or seed < 0:
        raise ValueError(
            f"num_resamples is {num_resamples}, confidence {confidence} and seed {seed}, expected 1 or more, "
            "a share in (0, 1), and 0 or more"
        )
    lists = [WeightedLists.of(truth, detections, tiou_thresholds) for detections in (first, second)]
    map_SRT, ap_SRK = _scores(truth, lists, num_resamples, seed)
    average_SR = map_SRT.mean(axis=2)
    gain_R = average_SR[1] - average_SR[0]
    moved_R = gain_R[0] + gain_R[1:] - np.median(gain_R[1:])
    return Comparison(
        checked_thresholds(tiou_thresholds),
        truth.classes,
        truth.truths_per_class,
        len(truth.video_ids),
        num_resamples,
        confidence,
        seed,
        _pair(average_SR, confidence),
        _pair(map_SRT, confidence),
        _pair(ap_SRK, confidence),
        float((moved_R > 0).mean()),
    )


def _scores(
    truth: GroundTruth, lists: list[WeightedLists], num_resamples: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """mAP and, averaged over thresholds, AP of both sets: (S, 1 + R, T) and (S, 1 + R, K).

    The first row is of all videos as they are, the others of the draws.
    """
    num_videos = len(truth.video_ids)
    has_truth_V = np.bincount(truth.video_idx, minlength=num_videos) > 0
    drawn = draw_videos(has_truth_V, range(num_resamples), seed)
    weights, at_once = chain([np.ones(num_videos, np.int64)], drawn), min(one.draws_at_once for one in lists)
    maps, aps = [], []
    while block := list(islice(weights, at_once)):
        weights_RV = np.stack(block)
        ap_SRTK = np.stack([one.precisions(weights_RV) for one in lists])
        maps.append(np.nanmean(ap_SRTK, axis=3))
        aps.append(ap_SRTK.mean(axis=2))
    return np.concatenate(maps, axis=1), np.concatenate(aps, axis=1)


def _pair(scores: FloatArray, confidence: float) -> Pair:
    """Intervals from (2, 1 + R, ...) scores of both, on all videos and on the draws."""
    first, second = scores
    return Pair(
        _estimate(first, confidence, 0.0),
        _estimate(second, confidence, 0.0),
        _estimate(second - first, confidence, -1.0),
    )


def _estimate(values: FloatArray, confidence: float, least: float) -> Estimate:
    """Quantiles of the draws, moved by their median and kept to [least, 1], which holds every score."""
    value, drawn_RM = values[0], values[1:].reshape(len(values) - 1, -1)
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    shifts_2M = np.full((2, drawn_RM.shape[1]), np.nan)
    for column, drawn_R in enumerate(drawn_RM.T):
        known = drawn_R[~np.isnan(drawn_R)]
        if known.size > 1:
            shifts_2M[:, column] = np.quantile(known, tails) - np.median(known)
    low, high = np.clip(value + shifts_2M.reshape(2, *value.shape), least, 1.0)
    return Estimate(value, low, high)


def _plain(values: Any) -> Any:
    """The array or scalar as JSON has it."""
    listed = np.asarray(values).tolist()
    if isinstance(listed, list):
        return [_plain(value) for value in listed]
    return listed if math.isfinite(listed) else None
