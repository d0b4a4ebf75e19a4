"""AR@AN: recall against the average number of proposals per video, and the area under that curve.

Letters: V annotated videos, N proposals, G truths, T thresholds, A points of the curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talaria.evaluation.arrays import Detections, FloatArray, GroundTruth, IntArray
from talaria.evaluation.detection import ACTIVITYNET_THRESHOLDS, check_truth, checked_thresholds
from talaria.evaluation.matching import overlapping_pairs
from talaria.evaluation.ranking import ranked_by_video

NUM_POINTS = 100
"""The curve is read at 1%, 2%, ... 100% of every video's list."""


@dataclass(frozen=True)
class ProposalResult:
    """What a set of proposals is worth.

    Attributes:
        auc: area under `ar_at_an`, in percent of the area under a recall of 1.
        ar_at_an: (A,) recall averaged over the thresholds.
        average_number: (A,) proposals per video, on average, behind each point.
        recall_TA: recall at each threshold.
        tiou_thresholds: (T,).
    """

    auc: float
    ar_at_an: FloatArray
    average_number: FloatArray
    recall_TA: FloatArray
    tiou_thresholds: FloatArray

    def at(self, average_number: float) -> float:
        """AR at an average number of proposals, linear between the points and level outside them."""
        return float(np.interp(average_number, self.average_number, self.ar_at_an))


def average_recall(
    truth: GroundTruth,
    proposals: Detections,
    tiou_thresholds: FloatArray = ACTIVITYNET_THRESHOLDS,
    max_average: float | None = 100,
) -> ProposalResult:
    """The AR@AN curve with the official truncation rules; labels are not read.

    Each annotated video keeps `int(n * max_average * V / N)` of its n best proposals (of equal scores the
    later one first), N counting those of unknown videos too; a point at k percent reads `int(kept * k% *
    max_average * V / all kept)` of them. A truth is recalled when one of these reaches the threshold; 0/0
    does not.

    Args:
        truth: the truths; videos without any do not count.
        proposals: scored segments.
        tiou_thresholds: (T,) in (0, 1].
        max_average: average number at the end of the curve, or None for all proposals.

    Returns:
        The curve. Where nothing is kept, recall and area are 0; the official code divides by zero there.

    Raises:
        DataError: if there are no truths at all.
        ValueError: if a threshold is outside (0, 1] or `max_average` is not above 0.

    Source: `eval_proposal.py` of activitynet/ActivityNet, with stable sorting.
    """
    thresholds = checked_thresholds(tiou_thresholds)
    check_truth(truth)
    if max_average is not None and not max_average > 0:
        raise ValueError(f"max_average is {max_average}, expected more than 0")
    groups = truth.by_video
    num_videos, num_proposals = groups.keys.size, proposals.score.size
    highest = float(num_proposals) / num_videos if max_average is None else max_average
    order, rank, group = ranked_by_video(proposals.score, proposals.video_idx, groups)
    num_listed = np.bincount(group, minlength=num_videos)
    ratio = highest * float(num_videos) / max(num_proposals, 1)
    num_kept = np.minimum((num_listed * ratio).astype(np.int64), num_listed)
    kept = rank < num_kept[group]
    best_TG = _first_hits(truth, proposals, order[kept], rank[kept], thresholds)

    total = max(int(num_kept.sum()), 1)
    fractions = np.arange(1, NUM_POINTS + 1) / float(NUM_POINTS) * (highest * float(num_videos) / total)
    # Officially a video without proposals has one that overlaps nothing; here it has none: the same recall.
    num_read_VA = np.minimum((num_kept[:, None] * fractions).astype(np.int64), num_kept[:, None])
    recall_TA = _recall(best_TG, num_read_VA[groups.find(truth.video_idx)[0]])
    return _result(recall_TA, fractions * (float(total) / num_videos), thresholds)


def _first_hits(
    truth: GroundTruth, proposals: Detections, order: IntArray, rank: IntArray, thresholds: FloatArray
) -> IntArray:
    """(T, G) rank of the best-ranked proposal that reaches each truth; a huge number where none does."""
    pairs = overlapping_pairs(
        truth, truth.by_video, proposals, order, proposals.video_idx[order], float(thresholds.min())
    )
    best_TG = np.full((thresholds.size, truth.start_s.size), np.iinfo(np.int64).max)
    for best_G, threshold in zip(best_TG, thresholds, strict=True):
        hits = np.flatnonzero(pairs.tiou >= threshold)[::-1]
        best_G[pairs.truth[hits]] = rank[
            pairs.row[hits]
        ]  # of equal indices the last is stored: the best rank
    return best_TG


def _recall(best_TG: IntArray, num_read_GA: IntArray) -> FloatArray:
    """(T, A) share of the truths that a proposal among those read recalls."""
    return np.stack([(best_G[:, None] < num_read_GA).sum(axis=0) / best_G.size for best_G in best_TG])


def _result(recall_TA: FloatArray, average_number: FloatArray, thresholds: FloatArray) -> ProposalResult:
    ar_at_an = recall_TA.mean(axis=0)
    last = float(average_number[-1])
    area = float(np.trapezoid(ar_at_an, average_number))
    return ProposalResult(
        100.0 * area / last if last else 0.0, ar_at_an, average_number, recall_TA, thresholds
    )
