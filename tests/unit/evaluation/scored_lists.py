"""Random truths and detections for the property tests: few values, so ties and 0/0 happen often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from reference.detection_oracle import Scored, Truth
from talaria.evaluation.arrays import UNKNOWN, Detections, GroundTruth

NUM_VIDEOS, NUM_CLASSES = 3, 2
THRESHOLDS = np.array([0.3, 0.5, 0.75, 1.0])

TIMES = st.tuples(st.integers(0, 6), st.integers(0, 4)).map(
    lambda pair: (pair[0] / 2, (pair[0] + pair[1]) / 2)
)
LABELS = st.integers(0, NUM_CLASSES - 1)
SCORES = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0])

TRUTHS = st.lists(
    st.tuples(st.integers(0, NUM_VIDEOS - 1), LABELS, TIMES).map(lambda row: (row[0], row[1], *row[2])),
    min_size=1,
    max_size=10,
)
DETECTIONS = st.lists(
    st.tuples(st.integers(UNKNOWN, NUM_VIDEOS - 1), LABELS, TIMES, SCORES).map(
        lambda row: (row[0], row[1], *row[2], row[3])
    ),
    max_size=20,
)


def truth_table(
    rows: Sequence[Truth], num_videos: int = NUM_VIDEOS, num_classes: int = NUM_CLASSES
) -> GroundTruth:
    """The rows as `GroundTruth`."""
    names = tuple(f"video_{number}" for number in range(num_videos))
    labels = tuple(f"class_{number}" for number in range(num_classes))
    return GroundTruth(names, labels, *np.array(rows, np.float64).reshape(-1, 4).T)


def detection_table(rows: Sequence[Scored]) -> Detections:
    """The rows as `Detections`."""
    return Detections(*np.array(rows, np.float64).reshape(-1, 5).T)


def noisy_lists(
    seed: int, num_videos: int, num_classes: int, num_truths: int, num_detections: int
) -> tuple[list[Truth], list[Scored]]:
    """Many truths, and detections of which half are near one; no two scores are equal."""
    rng = np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(num_truths):
        start = rng.random() * 50
        truths.append(
            (
                int(rng.integers(num_videos)),
                int(rng.integers(num_classes)),
                start,
                start + 1 + rng.random() * 20,
            )
        )
    for _ in range(num_detections):
        video, label, start, end = truths[rng.integers(num_truths)]
        if rng.random() < 0.5:
            start, end = np.sort(np.array([start, end]) + rng.normal(0, 2, 2)).tolist()
        else:
            video, start = int(rng.integers(UNKNOWN, num_videos)), rng.random() * 50
            end = start + rng.random() * 20
        detections.append((video, label, start, end, rng.random()))
    return truths, detections


def tied(detections: Sequence[Scored]) -> list[Scored]:
    """The same with scores from eleven values, so that nearly all are tied."""
    return [(*row[:4], round(row[4], 1)) for row in detections]
