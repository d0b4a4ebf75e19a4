"""THUMOS14 mAP the slow and obvious way: video by video, truth by truth."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reference.detection_oracle import Scored, Truth

Span = tuple[int, float, float]
"""Video, start, end."""


def share(start: float, end: float, other_start: float, other_end: float) -> float:
    """Overlap over the length that both cover together; 0 without overlap."""
    overlap = min(end, other_end) - max(start, other_start)
    return overlap / (max(end, other_end) - min(start, other_start)) if overlap > 0 else 0.0


def judged(
    truths: Sequence[Truth], spans: Sequence[Span], detections: Sequence[Scored], threshold: float
) -> list[tuple[float, bool]]:
    """Score and hit of every detection of one video and class that counts, best first."""
    ranked = sorted(detections, key=lambda detection: -detection[4])
    free = [True] * len(ranked)
    for _, _, start, end in truths:
        best, highest = None, threshold
        for number, (_, _, its_start, its_end, _) in enumerate(ranked):
            found = share(start, end, its_start, its_end)
            if free[number] and found > highest:
                best, highest = number, found
        if best is not None:
            free[best] = False
    return [
        (score, not is_free)
        for (_, _, start, end, score), is_free in zip(ranked, free, strict=True)
        if not is_free or not any(share(start, end, *span[1:]) > 0 for span in spans)
    ]


def average_precision(
    names: Sequence[str],
    truths: Sequence[Truth],
    spans: Sequence[Span],
    detections: Sequence[Scored],
    label: int,
    threshold: float,
) -> float:
    """Average precision of one class at one threshold; NaN if the class has no truths.

    Args:
        names: of the videos; a number outside them is a video without a name, which comes last.
        truths: of all classes.
        spans: ambiguous stretches.
        detections: of all classes.
        label: the class.
        threshold: to be passed, not only reached.
    """
    videos = [*sorted(range(len(names)), key=lambda video: names[video]), -1]
    listed: list[tuple[float, bool]] = []
    for video in videos:
        listed += judged(
            [truth for truth in truths if truth[:2] == (video, label)],
            [span for span in spans if span[0] == video],
            [found for found in detections if found[:2] == (video, label)],
            threshold,
        )
    listed.sort(key=lambda entry: -entry[0])
    num_truths = sum(truth[1] == label for truth in truths)
    hits, area = 0, 0.0
    for rank, (_, hit) in enumerate(listed):
        hits += hit
        area += hits / (rank + 1) if hit else 0.0
    return area / num_truths if num_truths else math.nan
