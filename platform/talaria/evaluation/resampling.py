"""Average precision of many draws of videos from one matching: what a bootstrap over videos repeats.

Drawing videos with replacement gives each a whole-number weight; weight w stands for w copies of the video.
Detections meet only truths of their own video, so who takes whom is the same in every draw and is worked out
once. The w copies of a row are a run of equal scores: ranks and hits at the end of a run are cumulative sums
of weights. Within a run of hits the precision only rises, so each of its hits counts the best precision from
the end of the run on. The result is exactly that of a file in which every row of the video stands w times.

Letters: R draws, V videos, C columns of weights, T thresholds, K classes, G truths, M rows, H hits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from talaria.evaluation.arrays import BoolArray, Detections, FloatArray, GroundTruth, Groups, IntArray
from talaria.evaluation.detection import check_labels, check_truth, checked_thresholds
from talaria.evaluation.matching import match
from talaria.evaluation.ranking import ranked_by_class

_CELLS = 1 << 18
"""Cells of a work array up to which draws are scored together: beyond, the processor's cache is too small."""

_MOST_DRAWS = 256
"""Draws scored together at most: more save nothing."""


@dataclass(frozen=True, eq=False)
class _ClassRows:
    """One class: its rows, best first, as far as its last hit, and its truths.

    Attributes:
        label: number of the class.
        column_M: (M,) the column of weights for each row; the last row is a filler of weight 0.
        hits_TH: (T, H) rows that are hits, ascending, filled up with the filler.
        truth_video_G: (G,) at least one.
    """

    label: int
    column_M: IntArray
    hits_TH: IntArray
    truth_video_G: IntArray

    @property
    def num_cells(self) -> int:
        """Cells that one draw takes."""
        return self.column_M.size + self.hits_TH.size

    def precisions(self, weights_RC: IntArray) -> FloatArray:
        """(R, T) average precision; NaN for draws without truths of the class."""
        ranks_RM = weights_RC.take(self.column_M, axis=1).cumsum(axis=1)
        hits_RTH = weights_RC.take(self.column_M[self.hits_TH], axis=1)
        precision_RTH = hits_RTH.cumsum(axis=2) / np.maximum(ranks_RM.take(self.hits_TH, axis=1), 1)
        best_RTH = np.maximum.accumulate(precision_RTH[:, :, ::-1], axis=2)[:, :, ::-1]
        area_RT: FloatArray = (best_RTH * hits_RTH).sum(axis=2)
        positives_R1 = weights_RC.take(self.truth_video_G, axis=1).sum(axis=1, keepdims=True)
        nothing_RT = np.full(area_RT.shape, np.nan)
        averages_RT: FloatArray = np.divide(area_RT, positives_R1, out=nothing_RT, where=positives_R1 > 0)
        return averages_RT


@dataclass(frozen=True, eq=False)
class WeightedLists:
    """The ranked lists of one set of detections, ready to be scored under any weights of the videos.

    Attributes:
        num_classes: K.
        num_thresholds: T.
        classes: those that have truths.
    """

    num_classes: int
    num_thresholds: int
    classes: tuple[_ClassRows, ...]

    @classmethod
    def of(cls, truth: GroundTruth, detections: Detections, tiou_thresholds: FloatArray) -> WeightedLists:
        """Match the detections once.

        Raises:
            DataError: if there are no truths at all.
            ValueError: if a threshold is outside (0, 1] or a label outside the class list.
        """
        thresholds, num_classes = checked_thresholds(tiou_thresholds), len(truth.classes)
        check_truth(truth)
        check_labels(detections.label_idx, num_classes)
        order, begins = ranked_by_class(detections.score, detections.label_idx, num_classes)
        taker_TG = match(truth, detections, order, thresholds)
        groups, video_N = Groups.of(truth.label_idx), detections.video_idx[order]
        classes = [
            _class_rows(
                label,
                video_N[begins[label] :],
                taker_TG[:, truths_G] - begins[label],
                truth.video_idx[truths_G],
                filler=len(truth.video_ids),
            )
            for label, truths_G in zip(groups.keys, np.split(groups.order, groups.first[1:]), strict=True)
        ]
        return cls(num_classes, thresholds.size, tuple(classes))

    @property
    def draws_at_once(self) -> int:
        """How many draws are best scored together."""
        cells = max(self.num_thresholds * self.num_classes, *(rows.num_cells for rows in self.classes))
        return int(np.clip(_CELLS // cells, 1, _MOST_DRAWS))

    def precisions(self, weights_RV: IntArray) -> FloatArray:
        """Average precision of every class at every threshold under each row of weights.

        Args:
            weights_RV: (R, V) whole numbers from 0: copies of each video. Detections of unknown videos belong
                to none that is drawn, so they always count once, as they do in the score itself.

        Returns:
            (R, T, K); NaN for classes that have no truths, or none in the draw, 0 for those without hits.
        """
        extra_R2 = np.broadcast_to(np.array([0, 1]), (len(weights_RV), 2))  # the filler's; UNKNOWN's, at -1
        weights_RC = np.concatenate([weights_RV, extra_R2], axis=1)
        ap_RTK = np.full((len(weights_RV), self.num_thresholds, self.num_classes), np.nan)
        for rows in self.classes:
            ap_RTK[:, :, rows.label] = rows.precisions(weights_RC)
        return ap_RTK


def _class_rows(
    label: int, video_N: IntArray, taker_TG: IntArray, truth_video_G: IntArray, filler: int
) -> _ClassRows:
    """One class, from a list that begins with its rows; a taker after the end of the list is nobody."""
    rows_TG = np.sort(taker_TG, axis=1)
    is_hit_TG = rows_TG < video_N.size
    size = int(rows_TG[is_hit_TG].max(initial=-1)) + 1
    hits_TH = np.where(is_hit_TG, rows_TG, size)[:, : is_hit_TG.sum(axis=1).max()]
    return _ClassRows(label, np.append(video_N[:size], filler), hits_TH, truth_video_G)


def draw_videos(has_truth_V: BoolArray, numbers: Iterable[int], seed: int) -> Iterator[IntArray]:
    """As many videos as there are, with replacement: how often each is drawn.

    A draw without any truth has no mAP and is made again. Every draw has a stream of random numbers of its
    own, so it does not depend on which others are made.

    Args:
        has_truth_V: (V,) whether each video has truths; one or more have.
        numbers: of the draws, from 0.
        seed: 0 or more.

    Yields:
        (V,) weights with sum V, one array per number.
    """
    num_videos = has_truth_V.size
    for number in numbers:
        rng, weights_V = np.random.default_rng((seed, number)), np.zeros(num_videos, np.int64)
        while not weights_V[has_truth_V].any():
            weights_V = np.bincount(rng.integers(num_videos, size=num_videos), minlength=num_videos)
        yield weights_V
