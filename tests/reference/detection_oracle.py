"""Detection mAP the slow and obvious way: the official rules as nested loops over plain tuples."""

from __future__ import annotations

import math
from collections.abc import Sequence

Truth = tuple[int, int, float, float]
"""Video, label, start, end."""

Scored = tuple[int, int, float, float, float]
"""Video, label, start, end, score."""


def tiou(start: float, end: float, other_start: float, other_end: float) -> float:
    """Intersection over union of two segments; NaN for 0/0."""
    overlap = max(min(end, other_end) - max(start, other_start), 0.0)
    union = (other_end - other_start) + (end - start) - overlap
    return overlap / union if union else math.nan


def best_first(scores: Sequence[float]) -> list[int]:
    """Numbers of the entries by falling score, the later of equal ones first."""
    return sorted(range(len(scores)), key=lambda number: (scores[number], number), reverse=True)


def interpolated_area(hits: Sequence[bool], num_positives: int) -> float:
    """Area under the interpolated precision-recall curve of one ranked list."""
    recalls, precisions, found = [0.0], [0.0], 0
    for rank, hit in enumerate(hits):
        found += hit
        recalls.append(found / num_positives)
        precisions.append(found / (rank + 1))
    area = 0.0
    for point in range(1, len(recalls)):
        area += (recalls[point] - recalls[point - 1]) * max(precisions[point:])
    return area


def hits_of_class(truths: Sequence[Truth], detections: Sequence[Scored], threshold: float) -> list[bool]:
    """Whether each detection, best first, takes a truth; all are of one class."""
    taken: set[int] = set()
    hits = []
    for chosen in best_first([detection[4] for detection in detections]):
        video, _, start, end, _ = detections[chosen]
        wishes = [
            (tiou(start, end, truth[2], truth[3]), number)
            for number, truth in enumerate(truths)
            if truth[0] == video
        ]
        wishes.sort(key=lambda wish: (math.inf if math.isnan(wish[0]) else wish[0], wish[1]), reverse=True)
        takes = next((n for share, n in wishes if not share < threshold and n not in taken), None)
        hits.append(takes is not None)
        taken |= set() if takes is None else {takes}
    return hits


def average_precision(
    truths: Sequence[Truth], detections: Sequence[Scored], label: int, threshold: float
) -> float:
    """Average precision of one class at one threshold; NaN if the class has no truths."""
    mine = [truth for truth in truths if truth[1] == label]
    found = [detection for detection in detections if detection[1] == label]
    return interpolated_area(hits_of_class(mine, found, threshold), len(mine)) if mine else math.nan
