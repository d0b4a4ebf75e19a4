"""Classification of whole videos the slow and obvious way: one class, one video at a time."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from reference.detection_oracle import best_first, interpolated_area

Label = tuple[int, int]
"""Video, label."""

ScoredLabel = tuple[int, int, float]
"""Video, label, score."""


def average_precision(truths: Collection[Label], predictions: Sequence[ScoredLabel], label: int) -> float:
    """Average precision of one class; NaN if no video has it."""
    videos = {video for video, mine in truths if mine == label}
    mine = [prediction for prediction in predictions if prediction[1] == label]
    seen: set[int] = set()
    hits = []
    for number in best_first([prediction[2] for prediction in mine]):
        video = mine[number][0]
        hits.append(video in videos and video not in seen)
        seen.add(video)
    return interpolated_area(hits, len(videos)) if videos else math.nan


def shares_found(truths: Collection[Label], predictions: Sequence[ScoredLabel], top_k: int) -> list[float]:
    """Of each labelled video, the share of its labels that is among its top k predictions."""
    shares = []
    for video in sorted({video for video, _ in truths}):
        mine = [prediction for prediction in predictions if prediction[0] == video]
        ranked = [mine[number][1] for number in best_first([prediction[2] for prediction in mine])]
        labels = {label for where, label in truths if where == video}
        shares.append(sum(label in ranked[:top_k] for label in labels) / len(labels))
    return shares
