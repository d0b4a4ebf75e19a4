"""Ranked lists per class and per video, with the official rule for ties: later entries go first.

The official code sorts ascending and reverses. Done with stable sorts, that puts the later entry first; all
lists here are made the same way, which is why their classes or videos come in descending order.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from talaria.evaluation.arrays import FloatArray, Groups, IntArray

_LONG = 64
"""Entries per list from which lists are sorted one by one."""


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
    counts = np.bincount(label_idx, minlength=num_classes)
    listed = _listed(score, label_idx, counts, None)
    if _any_equal(score[listed]):
        listed = _listed(score, label_idx, counts, "stable")
    ends = np.cumsum(counts[::-1])[::-1]
    return listed[::-1], ends - counts


def _listed(
    score: FloatArray, label_idx: IntArray, counts: IntArray, kind: Literal["stable"] | None
) -> IntArray:
    """Entries class after class, in each by rising score; with a stable sort equal ones in file order."""
    labels = label_idx.astype(np.min_scalar_type(counts.size))  # short integers sort by radix
    if score.size < _LONG * counts.size:
        ascending = np.argsort(score, kind=kind)
        return ascending[np.argsort(labels[ascending], kind="stable")]
    listed = np.argsort(labels, kind="stable")
    for mine in np.split(listed, np.cumsum(counts[:-1])):  # lists that fit the cache take half the time
        mine[:] = mine[np.argsort(score[mine], kind=kind)]
    return listed


def _ascending(score: FloatArray) -> IntArray:
    """Entry numbers by rising score, equal scores in file order."""
    order = np.argsort(score)
    return np.argsort(score, kind="stable") if _any_equal(score[order]) else order


def _any_equal(ranked: FloatArray) -> bool:
    """Whether a stable sort may differ from a faster one: only where two scores are equal."""
    return bool((ranked[1:] == ranked[:-1]).any())


def ranked_by_video(
    score: FloatArray, video_idx: IntArray, videos: Groups
) -> tuple[IntArray, IntArray, IntArray]:
    """One list per video that `videos` knows, best score first; other entries are left out.

    Returns:
        (M,) entry numbers, list after list; (M,) rank of each in its list, from 0; (M,) group number of its
        video.
    """
    ascending = _ascending(score)
    group, known = videos.find(video_idx[ascending])
    ascending, group = ascending[known], group[known]
    backwards = np.argsort(group, kind="stable")[::-1]
    group = group[backwards]
    return ascending[backwards], np.arange(group.size) - np.searchsorted(-group, -group), group
