"""Times of the judge on one core, and how far ahead of the obvious loops they are.

Run `python benchmarks/bench_evaluation.py` from the repository root; about 10 seconds.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "tests")]

import resource  # noqa: E402

import numpy as np  # noqa: E402

from reference import detection_oracle, suppression_oracle  # noqa: E402
from talaria.evaluation.arrays import Detections, GroundTruth  # noqa: E402
from talaria.evaluation.detection import ACTIVITYNET_THRESHOLDS, detection_map  # noqa: E402
from talaria.evaluation.proposals import average_recall  # noqa: E402
from talaria.evaluation.suppression import soft_nms  # noqa: E402

NUM_CLASSES = 200
CHALLENGE: dict[str, float] = {"low": 0.5, "high": 0.9, "alpha": 0.4}


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """The best of several runs, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def scene(num_videos: int, num_detections: int, num_truths: int) -> tuple[GroundTruth, Detections]:
    """Videos of mostly one class; all detections name that class, and a third of them is near a truth."""
    rng = np.random.default_rng(num_detections)
    class_of = rng.integers(0, NUM_CLASSES, num_videos)
    video = rng.integers(0, num_videos, num_truths)
    start = rng.random(num_truths) * 100
    end = start + 1 + rng.random(num_truths) * 60
    names = tuple(str(number) for number in range(num_videos))
    truth = GroundTruth(names, tuple(map(str, range(NUM_CLASSES))), video, class_of[video], start, end)
    source = rng.integers(0, num_truths, num_detections)
    near = rng.random(num_detections) < 1 / 3
    where = np.where(near, video[source], rng.integers(0, num_videos, num_detections))
    times = np.where(
        near[:, None],
        np.stack([start[source], end[source]], axis=1) + rng.normal(0, 4, (num_detections, 2)),
        rng.random((num_detections, 2)) * 160,
    )
    times.sort(axis=1)
    return truth, Detections(where, class_of[where], times[:, 0], times[:, 1], rng.random(num_detections))


def bench_detection() -> None:
    """Sets of growing size; 12 videos are what a weight search scores thousands of times."""
    sizes = ((12, 1_200, 30), (100, 10_000, 150), (1_000, 100_000, 1_500), (6_000, 600_000, 9_237))
    for num_videos, num_detections, num_truths in sizes:
        truth, found = scene(num_videos, num_detections, num_truths)
        taken = seconds(lambda truth=truth, found=found: detection_map(truth, found), 5)
        curve = seconds(lambda truth=truth, found=found: average_recall(truth, found), 5)
        print(
            f"{num_videos:5d} videos {num_detections:7d} detections {num_truths:5d} truths: "
            f"average mAP {1e3 * taken:7.1f} ms, AR@AN {1e3 * curve:7.1f} ms"
        )


def bench_detection_oracle() -> None:
    """The obvious loops on a small set, and the ratio."""
    truth, found = scene(50, 3_000, 75)
    truths = list(zip(truth.video_idx, truth.label_idx, truth.start_s, truth.end_s, strict=True))
    rows = list(zip(found.video_idx, found.label_idx, found.start_s, found.end_s, found.score, strict=True))
    labels = np.flatnonzero(truth.truths_per_class)
    begin = time.perf_counter()
    slow = [
        [detection_oracle.average_precision(truths, rows, label, level) for label in labels]
        for level in ACTIVITYNET_THRESHOLDS
    ]
    taken = time.perf_counter() - begin
    assert abs(float(np.mean(slow)) - detection_map(truth, found).average_map) < 1e-9
    fast = seconds(lambda: detection_map(truth, found), 20)
    print(f"   50 videos    3000 detections: oracle {taken:.2f} s, {taken / fast:.0f} times ours")


def bench_soft_nms() -> None:
    """A thousand videos with a thousand candidates, the best hundred kept; the oracle on three of them."""
    rng = np.random.default_rng(0)
    centre, width = rng.random((1000, 1000)), 0.6 * rng.random((1000, 1000)) ** 2
    segments = np.clip(np.stack([centre - width / 2, centre + width / 2], axis=2), 0, 1)
    scores = rng.random((1000, 1000)) ** 3
    for options in (CHALLENGE, {"low": 0.0, "high": 0.0, "alpha": 0.4}):
        fast = seconds(lambda options=options: soft_nms(segments, scores, top=100, **options), 3)
        factor = suppression_oracle.soft_factor(**options)
        begin = time.perf_counter()
        for row in range(3):
            suppression_oracle.greedy(segments[row].tolist(), scores[row].tolist(), factor, 100)
        slow = (time.perf_counter() - begin) / 3 * len(scores)
        print(f"Soft-NMS {options}: 1000 x 1000, top 100: {fast:.2f} s; oracle {slow / fast:.0f} times that")


if __name__ == "__main__":
    begin_s = time.perf_counter()
    bench_detection()
    bench_detection_oracle()
    bench_soft_nms()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak_mib:.0f} MiB, {time.perf_counter() - begin_s:.0f} s in all")
