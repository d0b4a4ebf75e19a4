"""DETAD the slow and obvious way: kinds of mistake, and scores after leaving detections or truths out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from reference.detection_oracle import Scored, Truth, best_first, tiou

Takers = dict[int, int]
"""Number of a detection: number of the truth that it takes."""


def takers(truths: Sequence[Truth], detections: Sequence[Scored], threshold: float) -> Takers:
    """Which truth each detection takes, best score first."""
    takes: Takers = {}
    for number in best_first([detection[4] for detection in detections]):
        video, label, start, end, _ = detections[number]
        wishes = [
            (overlap(start, end, truth), index)
            for index, truth in enumerate(truths)
            if truth[:2] == (video, label) and index not in takes.values()
        ]
        share, wanted = max(wishes, default=(0.0, -1))
        if share >= threshold:
            takes[number] = wanted
    return takes


def overlap(start: float, end: float, truth: Truth) -> float:
    """tIoU with a truth; 0/0 is better than any."""
    share = tiou(start, end, truth[2], truth[3])
    return math.inf if math.isnan(share) else share


def kinds(truths: Sequence[Truth], detections: Sequence[Scored], threshold: float) -> list[str]:
    """What each detection is."""
    takes = takers(truths, detections, threshold)
    return [
        "true positive" if number in takes else mistake(truths, detection, threshold)
        for number, detection in enumerate(detections)
    ]


def mistake(truths: Sequence[Truth], detection: Scored, threshold: float) -> str:
    """What a detection without a truth is: the truth it overlaps most decides, the first of equal ones."""
    video, label, start, end, _ = detection
    in_video = [truth for truth in truths if truth[0] == video]
    if not in_video:
        return "background"
    shares = [overlap(start, end, truth) for truth in in_video]
    best = shares.index(max(shares))
    same = in_video[best][1] == label
    if shares[best] >= threshold:
        return "double detection" if same else "wrong label"
    if shares[best] >= 0.1:
        return "localisation" if same else "confusion"
    return "background"


def mean_truths(truths: Sequence[Truth]) -> float:
    """Truths per label that occurs."""
    return len(truths) / len({truth[1] for truth in truths})


def precision(hits: int, misses: int, positives: int, mean: float | None) -> float:
    """Plain precision, or normalised to `mean` truths per label."""
    return hits / (hits + misses * (1.0 if mean is None else positives / mean))


def precisions(hits: Sequence[bool], positives: int, mean: float | None) -> list[float]:
    """Precision at every rank of one list."""
    return [
        precision(sum(hits[: rank + 1]), rank + 1 - sum(hits[: rank + 1]), positives, mean)
        for rank in range(len(hits))
    ]


def mean_ap(
    truths: Sequence[Truth],
    detections: Sequence[Scored],
    takes: Takers,
    mean: float | None,
    keep: Callable[[int], bool] = lambda _: True,
    counts: Callable[[int], bool] = lambda _: True,
) -> float:
    """mAP of the detections to keep on the truths that count, who takes whom being settled; NaN for none."""
    areas = []
    for label in sorted({truth[1] for number, truth in enumerate(truths) if counts(number)}):
        positives = sum(truth[1] == label for number, truth in enumerate(truths) if counts(number))
        ranked = [
            number
            for number in best_first([detection[4] for detection in detections])
            if detections[number][1] == label and keep(number)
        ]
        hits = [number in takes and counts(takes[number]) for number in ranked]
        curve = precisions(hits, positives, mean)
        areas.append(sum(max(curve[rank:]) / positives for rank, hit in enumerate(hits) if hit))
    return sum(areas) / len(areas) if areas else math.nan


def slices(truths: Sequence[Truth], detections: Sequence[Scored]) -> list[int]:
    """Which G of its label's ranking each detection is in, counted from 0; 10 for further down."""
    numbers = [10] * len(detections)
    for label in {truth[1] for truth in truths}:
        size = sum(truth[1] == label for truth in truths)
        order = best_first([detection[4] for detection in detections])
        for rank, number in enumerate(n for n in order if detections[n][1] == label):
            numbers[number] = min(rank // size, 10)
    return numbers


def missed(truths: Sequence[Truth], detections: Sequence[Scored], takes: Takers) -> set[int]:
    """Truths that nobody takes at a normalised precision above 0.05."""
    found = set()
    for label in {truth[1] for truth in truths}:
        positives = sum(truth[1] == label for truth in truths)
        order = best_first([detection[4] for detection in detections])
        ranked = [number for number in order if detections[number][1] == label]
        curve = precisions([number in takes for number in ranked], positives, mean_truths(truths))
        found |= {
            takes[number]
            for number, value in zip(ranked, curve, strict=True)
            if number in takes and value > 0.05
        }
    return set(range(len(truths))) - found
