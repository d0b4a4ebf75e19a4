"""From raw predictions to detections: score every segment, suppress, label, keep the best.

Works on many videos at once and returns flat arrays, because searches run it thousands of times.

Letters: V videos, P proposals, N candidates of all videos, A classes tried, R rows of logits, K classes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from talaria.config.postprocess import PostprocessConfig
from talaria.errors import DataError
from talaria.evaluation.arrays import Detections, FloatArray, IntArray
from talaria.evaluation.suppression import Kept
from talaria.prediction.belief import Belief
from talaria.prediction.candidates import Candidates, best_of_each
from talaria.prediction.suppressing import suppress
from talaria.records import Detection


def postprocess(
    predictions: Sequence[Belief], config: PostprocessConfig, classes: Sequence[str]
) -> Detections:
    """The detections of some videos.

    `video` (HACS): suppression once over the segments of a video, then score = proposal score x class score
    of the video for its best classes. `proposal`: the class scores of a segment are its own, where its
    detector gives it such, else those of the clips inside it; score = proposal score x class score, then
    suppression for each class.

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
    found = [prediction.candidates(config) for prediction in predictions]
    classes_NK = [one.class_scores for one in found if one.class_scores is not None]
    candidates = Candidates(
        np.repeat(np.arange(len(found)), [len(one.score) for one in found]),
        np.concatenate([np.zeros((0, 2)), *(one.segments_frac for one in found)]),
        np.concatenate([np.zeros(0), *(one.score for one in found)]),
        np.concatenate(classes_NK) if found and len(classes_NK) == len(found) else None,
    )
    logits = [prediction.class_logits_RK for prediction in predictions]
    check_columns([(one.video_id, one.class_logits_RK) for one in predictions], len(classes))
    durations_s = np.array([prediction.duration_s for prediction in predictions], np.float64)
    return labelled(candidates, logits, durations_s, config, len(classes))


def labelled(
    candidates: Candidates,
    logits_VRK: Sequence[NDArray[np.floating]],
    durations_s: FloatArray,
    config: PostprocessConfig,
    num_classes: int,
) -> Detections:
    """Suppress and label scored segments, as `postprocess` says.

    Args:
        candidates: of all videos.
        logits_VRK: (R, K) class logits of each video; a column beyond the classes is background.
        durations_s: (V,) lengths of the videos.
        config: counts, limits and the class score's power.
        num_classes: K without background.
    """
    label = _labelled_by_video if config.classification == "video" else _labelled_by_proposal
    found, label_idx = label(logits_VRK, candidates, config, num_classes)
    best = best_of_each(found.video_idx, found.score, config.detections_per_video)
    segments_s = found.segments_frac[best] * durations_s[found.video_idx[best]][:, None]
    return Detections(
        found.video_idx[best], label_idx[best], segments_s[:, 0], segments_s[:, 1], found.score[best]
    )


def suppressed(candidates: Candidates, config: PostprocessConfig) -> Candidates:
    """What suppression keeps of each video, whatever the class, with lowered scores, the best first."""
    kept = _suppressed(candidates, candidates.video_idx, config)
    return replace(candidates.at(kept.index), score=kept.score)


def segment_classes(
    candidates: Candidates, logits_VRK: Sequence[NDArray[np.floating]], num_classes: int
) -> FloatArray:
    """(N, K) class scores of segments: their own, else the mean of the clips inside each."""
    if candidates.class_scores is not None:
        return candidates.class_scores.astype(np.float64)
    share_NK = np.zeros((len(candidates.score), num_classes))
    for index, logits_RK in enumerate(logits_VRK):
        mine = slice(*np.searchsorted(candidates.video_idx, [index, index + 1]))
        share_NK[mine] = pooled(class_scores(logits_RK, num_classes), candidates.segments_frac[mine])
    return share_NK


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


def class_scores(logits_XRK: NDArray[np.floating], num_classes: int) -> FloatArray:
    """Class probabilities of every row of logits, (..., R, K); background's share is dropped, not spread."""
    logits_XRK = logits_XRK.astype(np.float64)
    power_XRK = np.exp(logits_XRK - logits_XRK.max(axis=-1, keepdims=True))
    shares: FloatArray = (power_XRK / power_XRK.sum(axis=-1, keepdims=True))[..., :num_classes]
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


def _labelled_by_video(
    logits_VRK: Sequence[NDArray[np.floating]],
    candidates: Candidates,
    config: PostprocessConfig,
    num_classes: int,
) -> tuple[Candidates, IntArray]:
    """Suppressed segments, each once for every class tried, and their labels."""
    kept = _suppressed(candidates, candidates.video_idx, config)
    label_VA, share_VA = _best_classes(_video_scores(logits_VRK, num_classes), config)
    video_idx = candidates.video_idx[kept.index]
    label_NA, share_NA = label_VA[video_idx], share_VA[video_idx]
    segments_frac = np.repeat(candidates.segments_frac[kept.index], label_NA.shape[1], axis=0)
    score = (kept.score[:, None] * share_NA**config.class_power).reshape(-1)
    found = Candidates(np.repeat(video_idx, label_NA.shape[1]), segments_frac, score)
    return found, label_NA.reshape(-1)


def _labelled_by_proposal(
    logits_VRK: Sequence[NDArray[np.floating]],
    candidates: Candidates,
    config: PostprocessConfig,
    num_classes: int,
) -> tuple[Candidates, IntArray]:
    """Segments with their own best classes, suppressed within each class of a video, and their labels."""
    label_NA, share_NA = _best_classes(segment_classes(candidates, logits_VRK, num_classes), config)
    num_tried = label_NA.shape[1]
    labelled = Candidates(
        np.repeat(candidates.video_idx, num_tried),
        np.repeat(candidates.segments_frac, num_tried, axis=0),
        (candidates.score[:, None] * share_NA**config.class_power).reshape(-1),
    )
    label_idx = label_NA.reshape(-1)
    kept = _suppressed(labelled, labelled.video_idx * num_classes + label_idx, config)
    found = Candidates(labelled.video_idx[kept.index], labelled.segments_frac[kept.index], kept.score)
    return found, label_idx[kept.index]


def _suppressed(candidates: Candidates, group_idx: IntArray, config: PostprocessConfig) -> Kept:
    """Suppression in each group; no more are kept than can be among a video's best detections."""
    return suppress(candidates.segments_frac, candidates.score, config, group_idx)


def _video_scores(logits_VRK: Sequence[NDArray[np.floating]], num_classes: int) -> FloatArray:
    """(V, K) mean class scores of every video; those with equally many rows in one go."""
    scores_VK: FloatArray = np.zeros((len(logits_VRK), num_classes))
    by_rows: dict[int, list[int]] = defaultdict(list)
    for index, logits_RK in enumerate(logits_VRK):
        by_rows[len(logits_RK)].append(index)
    for alike in by_rows.values():
        stacked = np.stack([logits_VRK[index] for index in alike])
        scores_VK[alike] = class_scores(stacked, num_classes).mean(axis=1)
    return scores_VK


def _best_classes(scores_XK: FloatArray, config: PostprocessConfig) -> tuple[IntArray, FloatArray]:
    """(X, A) indices and scores of the best classes of every row; of equal ones the first class first."""
    label_XA = np.argsort(-scores_XK, axis=1, kind="stable")[:, : config.classes_per_video]
    return label_XA, np.take_along_axis(scores_XK, label_XA, axis=1)


def check_columns(logits: Iterable[tuple[str, NDArray[np.floating]]], num_classes: int) -> None:
    """Refuse the first video whose logits (R, K) have other columns than the classes, or one more.

    Raises:
        DataError: naming the video.
    """
    for video_id, logits_RK in logits:
        if logits_RK.shape[1] not in (num_classes, num_classes + 1):
            raise DataError(
                f"video {video_id}: class_logits have {logits_RK.shape[1]} columns, "
                f"expected {num_classes} classes, or one more for background"
            )
