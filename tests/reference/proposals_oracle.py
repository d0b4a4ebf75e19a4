"""AR@AN the slow and obvious way: lists per video, cut, and counted point by point."""

from __future__ import annotations

from collections.abc import Sequence

from reference.detection_oracle import Scored, Truth, best_first, tiou


def average_recall(
    truths: Sequence[Truth],
    proposals: Sequence[Scored],
    thresholds: Sequence[float],
    max_average: float | None,
) -> tuple[list[list[float]], list[float]]:
    """Recall at every threshold and point, and the average number of proposals at every point."""
    videos = sorted({truth[0] for truth in truths})
    highest = len(proposals) / len(videos) if max_average is None else max_average
    ratio = highest * float(len(videos)) / len(proposals)
    kept: dict[int, list[Scored]] = {}
    for video in videos:
        listed = [proposal for proposal in proposals if proposal[0] == video]
        ranked = [listed[number] for number in best_first([proposal[4] for proposal in listed])]
        kept[video] = ranked[: min(int(len(ranked) * ratio), len(ranked))]
    total = sum(len(ranked) for ranked in kept.values())
    fractions = [k / 100.0 * (highest * float(len(videos)) / total) for k in range(1, 101)]
    recall = [
        [share_recalled(truths, kept, fraction, threshold) for fraction in fractions]
        for threshold in thresholds
    ]
    return recall, [fraction * (float(total) / len(videos)) for fraction in fractions]


def share_recalled(
    truths: Sequence[Truth], kept: dict[int, list[Scored]], fraction: float, threshold: float
) -> float:
    """Share of the truths that one of the proposals read at this point reaches."""
    found = 0
    for video, _, start, end in truths:
        read = kept[video][: int(len(kept[video]) * fraction)]
        found += any(tiou(proposal[2], proposal[3], start, end) >= threshold for proposal in read)
    return found / len(truths)
