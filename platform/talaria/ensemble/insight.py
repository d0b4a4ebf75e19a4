"""Which truths a member finds that others miss.

Letters: N members, G truths, D detections.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from talaria.evaluation.arrays import BoolArray, Detections, GroundTruth, IntArray
from talaria.evaluation.matching import match
from talaria.evaluation.ranking import ranked_by_class
from talaria.prediction.candidates import best_of_each

FOUND_TIOU = 0.5
"""tIoU from which a truth counts as found."""


def found_truths(truth: GroundTruth, detections: Detections) -> BoolArray:
    """(G,) whether each truth is found, by as many of a video's best detections as the video has truths.

    So many, because all members together find nearly everything somewhere among a hundred detections.
    """
    counts = np.bincount(truth.video_idx, minlength=len(truth.video_ids))
    order = best_of_each(detections.video_idx, detections.score, int(counts.max(initial=1)))
    place = np.arange(len(order)) - np.searchsorted(detections.video_idx[order], detections.video_idx[order])
    keep = order[place < counts[detections.video_idx[order]]]
    best = Detections(
        detections.video_idx[keep],
        detections.label_idx[keep],
        detections.start_s[keep],
        detections.end_s[keep],
        detections.score[keep],
    )
    ranked, _ = ranked_by_class(best.score, best.label_idx, len(truth.classes))
    taken: BoolArray = match(truth, best, ranked, np.array([FOUND_TIOU]))[0] < ranked.size
    return taken


def complementarity(truth: GroundTruth, detections: Mapping[str, Detections]) -> IntArray:
    """(N, N) truths that the member of a row finds and that of a column misses.

    Args:
        truth: of the judged videos.
        detections: of each member.
    """
    found_NG = np.array([found_truths(truth, one) for one in detections.values()], np.int64)
    only_NN: IntArray = found_NG @ (1 - found_NG).T
    return only_NN
