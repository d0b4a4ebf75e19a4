"""Late fusion: detections of members that have nothing in common but the video, gathered in clusters.

Letters: N members, X clusters of all videos, D detections of one video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.resizing import Floats
from talaria.ensemble.stacks import ClusterStack
from talaria.evaluation.arrays import FloatArray, IntArray
from talaria.evaluation.tiou import tiou
from talaria.prediction.candidates import Candidates

SAME_TIOU = 0.7
"""tIoU from which detections of several members speak of the same action."""


@dataclass(frozen=True)
class Late:
    """How detections of members with nothing in common are made and compared.

    Attributes:
        configs: each member's own post-processing.
        scales: each member's largest score on the videos to fit on; scores are divided by it, so a weight
            means the same for all.
    """

    configs: tuple[PostprocessConfig, ...]
    scales: tuple[float, ...]

    def of(self, members: Sequence[int]) -> Late:
        """The same for some of the members."""
        return Late(tuple(self.configs[i] for i in members), tuple(self.scales[i] for i in members))


def clustered(
    listed: Sequence[Candidates], scales: Sequence[float], num_videos: int, same_tiou: float = SAME_TIOU
) -> ClusterStack:
    """Clusters of the members' detections, each with at most one detection of a member.

    The detections of a video go through by rank within their member; one joins the cluster whose first
    detection it overlaps most, if at least `same_tiou` and its member is not there yet, else it opens one.
    Ranks and not scores decide, since members' scores differ in scale.

    Args:
        listed: of each member, after its own suppression; all with class scores of their segments, or none.
        scales: what each member's scores are divided by, above 0.
        num_videos: V.
        same_tiou: in (0, 1].

    Source: Solovyev, Wang, Gabruseva 2021, Weighted boxes fusion (arXiv 1910.13302), section 3, in time.
    Opening clusters by rank, without moving their middle while they grow, is ours: clusters do not depend on
    weights, so that trying weights costs a weighted mean.
    """
    video_idx, segments, scores, classes = [], [], [], list[Floats]()
    by_member = [_per_video(one, scale, num_videos) for one, scale in zip(listed, scales, strict=True)]
    for video in range(num_videos):
        owner_D, segments_D2, score_D, classes_DK = _of_video([rows[video] for rows in by_member])
        cluster_D, num_clusters = _assigned(owner_D, segments_D2, same_tiou)
        segments_NX2 = np.zeros((len(listed), num_clusters, 2))
        scores_NX = np.zeros((len(listed), num_clusters))
        segments_NX2[owner_D, cluster_D] = segments_D2
        scores_NX[owner_D, cluster_D] = score_D
        video_idx.append(np.full(num_clusters, video))
        segments.append(segments_NX2)
        scores.append(scores_NX)
        if classes_DK is not None:
            classes.append(_mean_classes(classes_DK, score_D, cluster_D, num_clusters))
    return ClusterStack(
        np.concatenate([np.zeros(0, np.int64), *video_idx]),
        np.concatenate([np.zeros((len(listed), 0, 2)), *segments], axis=1),
        np.concatenate([np.zeros((len(listed), 0)), *scores], axis=1),
        np.concatenate(classes) if classes else None,
    )


@dataclass(frozen=True)
class _Rows:
    """Detections of one member in one video, best first; scores are scaled."""

    segments_D2: FloatArray
    score_D: FloatArray
    classes_DK: Floats | None


def _per_video(found: Candidates, scale: float, num_videos: int) -> list[_Rows]:
    order = np.lexsort((-found.score, found.video_idx))
    ends = np.searchsorted(found.video_idx[order], np.arange(num_videos + 1))
    parts = (order[begin:end] for begin, end in pairwise(ends.tolist()))
    classes = found.class_scores
    return [
        _Rows(
            found.segments_frac[part],
            found.score[part] / scale,
            None if classes is None else classes[part].astype(np.float32),
        )
        for part in parts
    ]


def _of_video(members: Sequence[_Rows]) -> tuple[IntArray, FloatArray, FloatArray, Floats | None]:
    """Owner, segment, score, classes of detections: first the best of every member, then the second, ..."""
    sizes = [len(rows.score_D) for rows in members]
    owner_D = np.repeat(np.arange(len(members)), sizes)
    rank_D = np.concatenate([np.zeros(0, np.int64), *map(np.arange, sizes)])
    segments_D2 = np.concatenate([np.zeros((0, 2)), *(rows.segments_D2 for rows in members)])
    score_D = np.concatenate([np.zeros(0), *(rows.score_D for rows in members)])
    classes = [rows.classes_DK for rows in members if rows.classes_DK is not None]
    order = np.lexsort((owner_D, rank_D))
    classes_DK = np.concatenate(classes)[order] if len(classes) == len(members) else None
    return owner_D[order], segments_D2[order], score_D[order], classes_DK


def _mean_classes(classes_DK: Floats, score_D: FloatArray, cluster_D: IntArray, num_clusters: int) -> Floats:
    """(X, K) class scores of clusters: the mean of their detections by score."""
    sums_XK = np.zeros((num_clusters, classes_DK.shape[1]), np.float32)
    np.add.at(sums_XK, cluster_D, (score_D[:, None] * classes_DK).astype(np.float32))
    total_X = np.bincount(cluster_D, score_D, minlength=num_clusters)
    means_XK: Floats = (sums_XK / np.where(total_X > 0, total_X, 1.0)[:, None]).astype(np.float32)
    return means_XK


def _assigned(owner_D: IntArray, segments_D2: FloatArray, same_tiou: float) -> tuple[IntArray, int]:
    """The cluster of every detection, and how many there are."""
    tiou_DD = tiou(segments_D2, segments_D2, undefined=0.0)
    cluster_D = np.zeros(len(owner_D), np.int64)
    first: list[int] = []
    owners: list[set[int]] = []
    for index, owner in enumerate(owner_D.tolist()):
        for cluster in np.argsort(-tiou_DD[index, first], kind="stable").tolist():
            if tiou_DD[index, first[cluster]] < same_tiou:
                cluster = len(first)
                break
            if owner not in owners[cluster]:
                break
        else:
            cluster = len(first)
        if cluster == len(first):
            first.append(index)
            owners.append(set())
        owners[cluster].add(owner)
        cluster_D[index] = cluster
    return cluster_D, len(first)
