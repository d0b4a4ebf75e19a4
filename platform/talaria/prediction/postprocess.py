"""From raw predictions to detections: score every segment, suppress, label, keep the best.

Works on many videos at once and returns flat arrays, because searches run it thousands of times.

Letters: V videos, P proposals, N candidates of all videos, A classes tried, R rows of logits, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from talaria.config.postprocess import PostprocessConfig
from talaria.errors import DataError
from talaria.evaluation.arrays import Detections, FloatArray, IntArray
from talaria.evaluation.suppression import Kept, soft_nms
from talaria.prediction.belief import Belief
from talaria.records import Detection


@dataclass(frozen=True)
class _Candidates:
    """Scored segments of all videos, video after video, in each the best first.

    Attributes:
        video_idx: (N,) position of the video.
        segments_frac: (N, 2) fractions of the video.
        score: (N,) at or above 0.
    """

    video_idx: IntArray
    segments_frac: FloatArray
    score: FloatArray


def postprocess(
    predictions: Sequence[Belief], config: PostprocessConfig, classes: Sequence[str]
) -> Detections:
    """The detections of some videos.

    `video` (HACS): Soft-NMS once over the segments of a video, then score = proposal score x class score of
    the video for its best classes. `proposal`: the class scores of a segment are those of the clips inside
    it; score = proposal score x class score, then Soft-NMS for each class.

    Args:
        predictions: one of each video.
        config: powers, limits and counts.
        classes: labels behind `label_idx`.

    Returns:
        Detections in seconds, video after video and in each the best first; `video_idx` is the position in
        `predictions`. Empty for no predictions.

    Raises:
        DataError: logits whose columns are not the classes, or the classes and background.

    Source: for `video`, the report of the 2021 HACS winners, sections 2.3 and 2.4 (equation 1).
    """
    for prediction in predictions:
        _check_columns(prediction, len(classes))
    candidates = _candidates(predictions, config)
    label = _labelled_by_video if config.classification == "video" else _labelled_by_proposal
    found, label_idx = label(predictions, candidates, config, len(classes))
    best = _best_of_each_video(found, config.detections_per_video)
    duration_V = np.array([prediction.duration_s for prediction in predictions], np.float64)
    segments_s = found.segments_frac[best] * duration_V[found.video_idx[best]][:, None]
    return Detections(
        found.video_idx[best], label_idx[best], segments_s[:, 0], segments_s[:, 1], found.score[best]
    )


def as_results(
    detections: Detections, video_ids: Sequence[str], classes: Sequence[str]
) -> dict[str, list[Detection]]:
    """`{video_id: detections}` in the order of the arrays; videos without any have an empty list."""
    results: dict[str, list[Detection]] = {video_id: [] for video_id in video_ids}
    columns = (
        detections.video_idx,
        detections.label_idx,
        detections.start_s,
        detections.end_s,
        detections.score,
    )
    for video, label, start_s, end_s, score in zip(*(column.tolist() for column in columns), strict=True):
        results[video_ids[video]].append(Detection(start_s, end_s, classes[label], score))
    return results


def class_scores(prediction: Belief, num_classes: int) -> FloatArray:
    """Class probabilities of every row of logits, (R, K); the background's share is dropped, not spread."""
    logits_RK = prediction.class_logits_RK.astype(np.float64)
    power_RK = np.exp(logits_RK - logits_RK.max(axis=1, keepdims=True))
    shares: FloatArray = (power_RK / power_RK.sum(axis=1, keepdims=True))[:, :num_classes]
    return shares


def pooled(scores_RK: FloatArray, segments_frac: FloatArray) -> FloatArray:
    """Mean class scores inside segments, where row r speaks of [r / R, (r + 1) / R].

    Args:
        scores_RK: (R, K) class scores of rows spread evenly over the video.
        segments_frac: (P, 2) fractions of the video, longer than zero.

    Returns:
        (P, K): the exact mean, rows cut by a segment's border counting in part.
    """
    num_rows = len(scores_RK)
    sums_RK = np.concatenate([np.zeros((1, scores_RK.shape[1])), np.cumsum(scores_RK, axis=0)])
    place_P2 = np.clip(segments_frac, 0.0, 1.0) * num_rows
    row_P2 = np.minimum(place_P2.astype(np.int64), num_rows - 1)
    area_P2K = sums_RK[row_P2] + (place_P2 - row_P2)[..., None] * scores_RK[row_P2]
    means: FloatArray = (area_P2K[:, 1] - area_P2K[:, 0]) / (place_P2[:, 1] - place_P2[:, 0])[:, None]
    return np.maximum(means, 0.0)


def _candidates(predictions: Sequence[Belief], config: PostprocessConfig) -> _Candidates:
    """The best segments of every video, before suppression."""
    found = [prediction.candidates(config) for prediction in predictions]
    sizes = [len(scores) for _, scores in found]
    return _Candidates(
        np.repeat(np.arange(len(found)), sizes),
        np.concatenate([np.zeros((0, 2)), *(segments for segments, _ in found)]),
        np.concatenate([np.zeros(0), *(scores for _, scores in found)]),
    )


def _labelled_by_video(
    predictions: Sequence[Belief], candidates: _Candidates, config: PostprocessConfig, num_classes: int
) -> tuple[_Candidates, IntArray]:
    """Suppressed segments, each once for every class tried, and their labels."""
    kept = _suppressed(candidates, candidates.video_idx, config)
    scores_VK = np.array([class_scores(one, num_classes).mean(axis=0) for one in predictions])
    label_VA, share_VA = _best_classes(scores_VK.reshape(-1, num_classes), config)
    video_idx = candidates.video_idx[kept.index]
    label_NA, share_NA = label_VA[video_idx], share_VA[video_idx]
    segments_frac = np.repeat(candidates.segments_frac[kept.index], label_NA.shape[1], axis=0)
    score = (kept.score[:, None] * share_NA**config.class_power).reshape(-1)
    found = _Candidates(np.repeat(video_idx, label_NA.shape[1]), segments_frac, score)
    return found, label_NA.reshape(-1)


def _labelled_by_proposal(
    predictions: Sequence[Belief], candidates: _Candidates, config: PostprocessConfig, num_classes: int
) -> tuple[_Candidates, IntArray]:
    """Segments with their own best classes, suppressed within each class of a video, and their labels."""
    share_NK = np.zeros((len(candidates.score), num_classes))
    for index, prediction in enumerate(predictions):
        mine = slice(*np.searchsorted(candidates.video_idx, [index, index + 1]))
        share_NK[mine] = pooled(class_scores(prediction, num_classes), candidates.segments_frac[mine])
    label_NA, share_NA = _best_classes(share_NK, config)
    num_tried = label_NA.shape[1]
    labelled = _Candidates(
        np.repeat(candidates.video_idx, num_tried),
        np.repeat(candidates.segments_frac, num_tried, axis=0),
        (candidates.score[:, None] * share_NA**config.class_power).reshape(-1),
    )
    label_idx = label_NA.reshape(-1)
    kept = _suppressed(labelled, labelled.video_idx * num_classes + label_idx, config)
    found = _Candidates(labelled.video_idx[kept.index], labelled.segments_frac[kept.index], kept.score)
    return found, label_idx[kept.index]


def _suppressed(candidates: _Candidates, group_idx: IntArray, config: PostprocessConfig) -> Kept:
    """Soft-NMS in each group; no more are kept than can be among a video's best detections."""
    return soft_nms(
        candidates.segments_frac,
        candidates.score,
        group_idx,
        low=config.low,
        high=config.high,
        alpha=config.alpha,
        top=config.detections_per_video,
    )


def _best_classes(scores_XK: FloatArray, config: PostprocessConfig) -> tuple[IntArray, FloatArray]:
    """(X, A) indices and scores of the best classes of every row; of equal ones the first class first."""
    label_XA = np.argsort(-scores_XK, axis=1, kind="stable")[:, : config.classes_per_video]
    return label_XA, np.take_along_axis(scores_XK, label_XA, axis=1)


def _best_of_each_video(found: _Candidates, top: int) -> IntArray:
    """Numbers of the best candidates, video after video, in each the best first."""
    order = np.lexsort((-found.score, found.video_idx))
    video_idx = found.video_idx[order]
    rank = np.arange(len(order)) - np.searchsorted(video_idx, video_idx)
    return order[rank < top]


def _check_columns(prediction: Belief, num_classes: int) -> None:
    num_columns = prediction.class_logits_RK.shape[1]
    if num_columns not in (num_classes, num_classes + 1):
        raise DataError(
            f"video {prediction.video_id}: class_logits have {num_columns} columns, "
            f"expected {num_classes} classes, or one more for background"
        )
