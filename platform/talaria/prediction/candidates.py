"""Scored segments of many videos before suppression.

Letters: N candidates of all videos.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talaria.evaluation.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Candidates:
    """Scored segments.

    Attributes:
        video_idx: (N,) position of the video, ascending.
        segments_frac: (N, 2) fractions of the video.
        score: (N,) at or above 0.
        class_scores: (N, K) of the segments themselves; None where only videos or clips have classes.
    """

    video_idx: IntArray
    segments_frac: FloatArray
    score: FloatArray
    class_scores: NDArray[np.floating] | None = None

    def at(self, index: IntArray) -> Candidates:
        """Some of them, in the order given."""
        classes = None if self.class_scores is None else self.class_scores[index]
        return Candidates(self.video_idx[index], self.segments_frac[index], self.score[index], classes)

    def best(self, top: int) -> Candidates:
        """The best `top` of each video, video after video; all, as they stand, where none has more.

        Equal scores keep their order.
        """
        if np.bincount(self.video_idx, minlength=1).max() <= top:
            return self
        return self.at(best_of_each(self.video_idx, self.score, top))


def best_of_each(video_idx: IntArray, score: FloatArray, top: int) -> IntArray:
    """Numbers of the best rows of each video, video after video, in each the best first."""
    order = np.lexsort((-score, video_idx))
    sorted_idx = video_idx[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_idx, sorted_idx)
    return order[rank < top]
