"""Untrimmed-video classification: hits among the top k labels and mean average precision.

Letters: V labelled videos, N scored labels, K classes, C choices of k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from talaria.errors import DataError
from talaria.evaluation.arrays import FloatArray, LabelScores
from talaria.evaluation.detection import check_labels
from talaria.evaluation.precision import average_precisions
from talaria.evaluation.ranking import ranked_by_class, ranked_by_video
from talaria.evaluation.video_labels import VideoLabels


@dataclass(frozen=True)
class ClassificationResult:
    """What a set of video labels is worth.

    Attributes:
        mean_ap: mean of `ap_K` over the classes that have videos.
        ap_K: average precision; NaN for classes without videos.
        top_k: the C values of k; with k = 1 and one label a video, `hit_at_k` is the accuracy.
        hit_at_k: (C,) share of videos with any true label among their top k.
        average_hit_at_k: (C,) share of a video's true labels that is among its top k, averaged over videos.
    """

    mean_ap: float
    ap_K: FloatArray
    top_k: tuple[int, ...]
    hit_at_k: FloatArray
    average_hit_at_k: FloatArray


def classification_scores(
    truth: VideoLabels, predictions: LabelScores, top_k: int | Sequence[int] = (1, 3, 5)
) -> ClassificationResult:
    """Mean average precision and hit@k of video labels.

    The best-ranked of several predictions of one label of one video can be a true positive, the others are
    false. Labelled videos without predictions count as misses; predictions for videos that are unknown or
    have no label are false positives. Predictions of a class without videos do not enter the mean but take
    their place among the top k; the official code stops with a KeyError there.

    Args:
        truth: the labels of each video; for a ground truth of segments, `VideoLabels.of_truth`.
        predictions: scored labels.
        top_k: one k, or several.

    Raises:
        DataError: if no video has a label.
        ValueError: if a k is below 1 or a label outside the class list.

    Source: `eval_classification.py` of activitynet/ActivityNet, with stable sorting.
    """
    choices = (top_k,) if isinstance(top_k, int) else tuple(top_k)
    if not choices or min(choices) < 1:
        raise ValueError(f"top_k is {top_k}, expected 1 or more")
    if not truth.video_idx.size:
        raise DataError(
            f"ground truth: none of {len(truth.video_ids)} videos has a label, expected at least one; "
            "choose a subset that is annotated"
        )
    check_labels(predictions.label_idx, len(truth.classes))
    ap_K = _class_precisions(truth, predictions)
    share_CV = _shares_found(truth, predictions, choices)
    return ClassificationResult(
        float(np.nanmean(ap_K)), ap_K, choices, (share_CV > 0).mean(axis=1), share_CV.mean(axis=1)
    )


def _class_precisions(truth: VideoLabels, predictions: LabelScores) -> FloatArray:
    """(K,) average precision over videos."""
    num_classes, labelled = len(truth.classes), truth.by_video_and_label
    order, begins = ranked_by_class(predictions.score, predictions.label_idx, num_classes)
    group, known = labelled.find((predictions.video_idx * num_classes + predictions.label_idx)[order])
    rows = np.flatnonzero(known)
    _, firsts = np.unique(group[rows], return_index=True)
    hits = rows[np.sort(firsts)]
    label = predictions.label_idx[order[hits]]
    ranked = np.lexsort((hits, label))
    positives = np.bincount(truth.label_idx, minlength=num_classes)
    return average_precisions(label[ranked], (hits - begins[label])[ranked], positives)


def _shares_found(truth: VideoLabels, predictions: LabelScores, choices: tuple[int, ...]) -> FloatArray:
    """(C, V) share of each labelled video's labels that is among its top k predictions."""
    num_classes, videos = len(truth.classes), truth.by_video
    order, rank, _ = ranked_by_video(predictions.score, predictions.video_idx, videos)
    keys = (predictions.video_idx * num_classes + predictions.label_idx)[order]
    group = videos.find(truth.video_idx)[0]
    return np.stack([np.bincount(group, np.isin(truth.keys, keys[rank < k])) / videos.sizes for k in choices])
