"""Ranked lists per class and per video, with the official rule for ties: later entries go first.

The official code sorts ascending and reverses. Done with stable sorts, that puts the later entry first; all
lists here are made the same way, which is why their classes or videos come in descending order.
"""

from __future__ import annotations

import numpy as np

from talaria.evaluation.arrays import FloatArray, Groups, IntArray


def ranked_by_class(score: FloatArray, label_idx: IntArray, num_classes: int) -> tuple[IntArray, IntArray]:
    """One list per class, best score first.

    Args:
        score: (N,) finite.
        label_idx: (N,) in [0, num_classes).
        num_classes: K.

    Returns:
        (N,) entry numbers, the lists of classes K-1 to 0 one after another; (K,) where each class begins in
        it.
    """
    ascending = np.argsort(score, kind="stable")
    labels = label_idx[ascending].astype(np.min_scalar_type(num_classes))  # short integers sort by radix
    order = ascending[np.argsort(labels, kind="stable")][::-1]
    ends = np.cumsum(np.bincount(label_idx, minlength=num_classes)[::-1])[::-1]
    return order, ends - np.bincount(label_idx, minlength=num_classes)


def ranked_by_video(
    score: FloatArray, video_idx: IntArray, videos: Groups
) -> tuple[IntArray, IntArray, IntArray]:
    """One list per video that `videos` knows, best score first; other entries are left out.

    Returns:
        (M,) entry numbers, list after list; (M,) rank of each in its list, from 0; (M,) group number of its
        video.
    """
    ascending = np.argsort(score, kind="stable")
    group, known = videos.find(video_idx[ascending])
    ascending, group = ascending[known], group[known]
    backwards = np.argsort(group, kind="stable")[::-1]
    group = group[backwards]
    return ascending[backwards], np.arange(group.size) - np.searchsorted(-group, -group), group
