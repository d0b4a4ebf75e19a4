"""Untrimmed-video classification: hits among the top k labels and mean average precision.

Letters: V annotated videos, N scored labels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talaria.evaluation.arrays import FloatArray, GroundTruth, LabelScores
from talaria.evaluation.detection import check_labels, check_truth
from talaria.evaluation.precision import average_precisions
from talaria.evaluation.ranking import ranked_by_class, ranked_by_video


@dataclass(frozen=True)
class ClassificationResult:
    """What a set of video labels is worth.

    Attributes:
        mean_ap: mean of `ap_K` over the classes that have truths.
        ap_K: average precision; NaN for classes without truths.
        hit_at_k: share of videos with any true label among their top k.
        average_hit_at_k: share of a video's true labels that is among its top k, averaged over videos.
        top_k: k.
    """

    mean_ap: float
    ap_K: FloatArray
    hit_at_k: float
    average_hit_at_k: float
    top_k: int


def classification_scores(
    truth: GroundTruth, predictions: LabelScores, top_k: int = 3
) -> ClassificationResult:
    """Mean average precision and hit@k of video labels.

    A video's labels are those of its annotations, each once. The best-ranked of several predictions of one
    label of one video can be a true positive, the others are false. Annotated videos without predictions
    count as misses; predictions for unknown videos are false positives. Predictions of a class without truths
    do not enter the mean but take their place among the top k; the official code stops with a KeyError there.

    Raises:
        DataError: if there are no truths at all.
        ValueError: if `top_k` is below 1 or a label outside the class list.

    Source: `eval_classification.py` of activitynet/ActivityNet, with stable sorting.
    """
    check_truth(truth)
    check_labels(predictions.label_idx, len(truth.classes))
    if top_k < 1:
        raise ValueError(f"top_k is {top_k}, expected 1 or more")
    ap_K = _class_precisions(truth, predictions)
    share_V = _shares_found(truth, predictions, top_k)
    mean_ap = float(np.nanmean(ap_K))
    return ClassificationResult(mean_ap, ap_K, float((share_V > 0).mean()), float(share_V.mean()), top_k)


def _class_precisions(truth: GroundTruth, predictions: LabelScores) -> FloatArray:
    """(K,) average precision over videos."""
    num_classes, labelled = len(truth.classes), truth.by_video_and_label
    order, begins = ranked_by_class(predictions.score, predictions.label_idx, num_classes)
    group, known = labelled.find((predictions.video_idx * num_classes + predictions.label_idx)[order])
    rows = np.flatnonzero(known)
    _, firsts = np.unique(group[rows], return_index=True)
    hits = rows[np.sort(firsts)]
    label = predictions.label_idx[order[hits]]
    ranked = np.lexsort((hits, label))
    positives = np.bincount(labelled.keys % num_classes, minlength=num_classes)
    return average_precisions(label[ranked], (hits - begins[label])[ranked], positives)


def _shares_found(truth: GroundTruth, predictions: LabelScores, top_k: int) -> FloatArray:
    """(V,) share of each annotated video's labels that is among its top k predictions."""
    num_classes = len(truth.classes)
    order, rank, _ = ranked_by_video(predictions.score, predictions.video_idx, truth.by_video)
    top = order[rank < top_k]
    wanted = truth.by_video_and_label.keys
    found = np.isin(wanted, predictions.video_idx[top] * num_classes + predictions.label_idx[top])
    video = truth.by_video.find(wanted // num_classes)[0]
    shares: FloatArray = np.bincount(video, weights=found) / np.bincount(video)
    return shares
