"""What is kept of a video's maps while weights and post-processing are learned: the segments worth scoring.

Maps of many members on thousands of videos fit no memory, and a search would sort millions of cells a trial.
A pool holds some hundred segments of a video and what every member says of each; weighing, scoring and
suppressing them is exact, and only segments that no member and no even fusion ranks high are lost.

Letters: N members, C segments, Q beliefs about one (startness, endness,
regression, classification), R rows of logits, K columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from talaria.ensemble.fusion import (
    Aligned,
    AlignedMaps,
    AlignedProposals,
    align,
    aligned_logits,
    fuse_probabilities,
)
from talaria.ensemble.resizing import Floats
from talaria.ensemble.weights import equal_weights
from talaria.evaluation.arrays import FloatArray
from talaria.prediction.belief import Belief
from talaria.prediction.raw import inside
from talaria_models.bmn.decode import end_snippet, segment_scores

_SCORINGS = (1.0, 0.0)
"""Powers of startness x endness by which segments are ranked: as published, and by the map alone (2021)."""


@dataclass(frozen=True, eq=False)
class Shortlist:
    """Segments of one video and what some members say of them.

    Attributes:
        segments_C2: fractions of the video.
        beliefs_NQC: in [0, 1].
    """

    segments_C2: FloatArray
    beliefs_NQC: Floats


Part: TypeAlias = Shortlist | AlignedProposals
"""What weights mix, or what one member offers: segments of maps, or refined proposals."""


@dataclass(frozen=True, eq=False)
class VideoPool:
    """One video.

    Attributes:
        duration_s: length in seconds.
        joint: what all members say of the same segments; None where they have none in common.
        alone: what every member offers by itself: maps on its own grid, each with N = 1.
        class_logits_NRK: class logits of the members.
    """

    video_id: str
    duration_s: float
    joint: Part | None
    alone: tuple[Part, ...]
    class_logits_NRK: Floats


def pooled(predictions: Sequence[Belief], size: int, *, common: bool) -> VideoPool:
    """The pool of one video.

    Args:
        predictions: one per member, of one video.
        size: segments of maps that are kept, of `joint` and of each member's own.
        common: whether all members have maps, or all refined the same proposals.

    Raises:
        DataError: predictions that are not of one video, or have nothing in common where they should.
    """
    alone = tuple(_own(one, size) for one in predictions)
    joint = _joint(align(predictions), alone, size) if common else None
    first = predictions[0]
    return VideoPool(first.video_id, first.duration_s, joint, alone, aligned_logits(predictions))


def _own(prediction: Belief, size: int) -> Part:
    aligned = align([prediction])
    return aligned if isinstance(aligned, AlignedProposals) else _shortlist(aligned, size)


def _joint(aligned: Aligned, alone: Sequence[Part], size: int) -> Part:
    if isinstance(aligned, AlignedProposals):
        return aligned
    return alone[0] if len(alone) == 1 else _shortlist(aligned, size)


def _shortlist(aligned: Aligned, size: int) -> Shortlist:
    """Segments by the best rank that any member or their even fusion gives them."""
    assert isinstance(aligned, AlignedMaps)
    num_members, num_snippets = aligned.start_NT.shape
    beliefs_NQX = _beliefs(aligned.start_NT, aligned.end_NT, aligned.bm_map_NMDT, num_snippets)
    listed = [beliefs_NQX[0]]
    if num_members > 1:
        even_QX = fuse_probabilities(beliefs_NQX, np.array(equal_weights(num_members), np.float32))
        listed = [even_QX, *beliefs_NQX]
    ranks_X = np.minimum.reduce([_ranks(one_QX, size) for one_QX in listed])
    best = np.sort(np.argsort(ranks_X, kind="stable")[:size])
    duration_X, begin_X = np.nonzero(inside(num_snippets))
    begin_C, end_C = begin_X[best], begin_X[best] + duration_X[best] + 1
    segments_C2 = np.stack([begin_C, end_C], axis=1) / num_snippets
    return Shortlist(segments_C2, np.ascontiguousarray(beliefs_NQX[:, :, best]))


def _beliefs(start_NT: Floats, end_NT: Floats, bm_map_NMDT: Floats, num_snippets: int) -> Floats:
    """(N, Q, X) what is believed of all X segments inside the video."""
    duration_X, begin_X = np.nonzero(inside(num_snippets))
    finish_X = end_snippet(duration_X, begin_X, num_snippets)
    maps_NMX = bm_map_NMDT[:, :, duration_X, begin_X]
    return np.concatenate([start_NT[:, None, begin_X], end_NT[:, None, finish_X], maps_NMX], axis=1)


def _ranks(beliefs_QX: Floats, size: int) -> NDArray[np.int64]:
    """(X,) the better of the ranks by all scorings, X below the best `size`; ties keep the order of X."""
    count = beliefs_QX.shape[1]
    ranks_X = np.full(count, count)
    for boundary_power in _SCORINGS:
        score_X = segment_scores(
            beliefs_QX,
            map_classification_power=1.0,
            map_regression_power=1.0,
            boundary_power=boundary_power,
        )
        best = np.arange(count) if count <= size else np.sort(np.argpartition(-score_X, size)[:size])
        best = best[np.argsort(-score_X[best], kind="stable")]
        ranks_X[best] = np.minimum(ranks_X[best], np.arange(len(best)))
    return ranks_X
