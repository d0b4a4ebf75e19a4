"""Times and memory of the judge on one core, and how far ahead of the obvious loops it is.

Run `python benchmarks/bench_evaluation.py` from the repository root; less than a minute. Each size is
measured in its own process, so that peak memory is that size's alone.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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
from talaria.evaluation.suppression import Kept, hard_nms, linear_nms, soft_nms  # noqa: E402
from talaria.evaluation.thumos import thumos_map  # noqa: E402

NUM_CLASSES = 200
NUM_THRESHOLDS = len(ACTIVITYNET_THRESHOLDS)
OFFICIAL_SIZE = 600_000
OFFICIAL_S = 622.0
"""The official code at this size, measured once on a machine like the one of docs/performance.md."""

SIZES = (1_200, 10_000, 100_000, OFFICIAL_SIZE, 1_000_000, 5_000_000)
Rule = tuple[str, Callable[..., Kept], dict[str, float], Any]
RULES: tuple[Rule, ...] = (
    (
        "soft, 2021 winner",
        soft_nms,
        {"low": 0.25, "high": 0.9, "alpha": 0.4},
        suppression_oracle.soft_factor(0.25, 0.9, 0.4),
    ),
    (
        "soft, BMN",
        soft_nms,
        {"low": 0.5, "high": 0.9, "alpha": 0.4},
        suppression_oracle.soft_factor(0.5, 0.9, 0.4),
    ),
    (
        "soft, Gaussian",
        soft_nms,
        {"low": 0.0, "high": 0.0, "alpha": 0.4},
        suppression_oracle.soft_factor(0.0, 0.0, 0.4),
    ),
    ("linear", linear_nms, {"threshold": 0.5}, suppression_oracle.linear_factor(0.5)),
    ("hard", hard_nms, {"threshold": 0.5}, suppression_oracle.hard_factor(0.5)),
)


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """The best of several runs, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def peak_mib() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def scene(num_detections: int) -> tuple[GroundTruth, Detections]:
    """HACS in small or large: 100 detections and 1.54 truths a video.

    Videos are of one class; all detections name that class, and a third of them is near a truth.
    """
    rng = np.random.default_rng(num_detections)
    num_videos, num_truths = num_detections // 100, round(num_detections * 9_237 / OFFICIAL_SIZE)
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


def measure_size(num_detections: int) -> None:
    """In a process of its own: seconds of the three scores, and memory before and at its peak."""
    truth, found = scene(num_detections)
    before, repeats = peak_mib(), min(max(5 * OFFICIAL_SIZE // num_detections, 2), 50)
    taken = seconds(lambda: detection_map(truth, found), repeats)
    peak = peak_mib()
    curve = seconds(lambda: average_recall(truth, found), repeats)
    thumos = seconds(lambda: thumos_map(truth, found), repeats)
    print(taken, curve, thumos, before, peak)


def bench_sizes() -> None:
    """From what a weight search scores thousands of times to more than any data set holds."""
    print(f"average mAP at {NUM_THRESHOLDS} thresholds, {NUM_CLASSES} classes, 100 detections a video")
    print("detections         mAP   /(n log n)     peak  of it input       AR@AN  THUMOS mAP")
    rows = {}
    for size in SIZES:
        command = [sys.executable, __file__, "--size", str(size)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows[size] = [float(number) for number in answer.split()]
    unit = rows[100_000][0] / (100_000 * math.log2(100_000))
    for size, (taken, curve, thumos, before, peak) in rows.items():
        growth = taken / (size * math.log2(size)) / unit
        print(
            f"{size:10,d} {1e3 * taken:8.1f} ms {growth:12.2f} {peak:5.0f} MiB {before:8.0f} MiB "
            f"{1e3 * curve:8.1f} ms {1e3 * thumos:8.1f} ms"
        )
    taken, peak = rows[OFFICIAL_SIZE][0], rows[OFFICIAL_SIZE][4]
    print(
        f"official size: {taken:.2f} s (goal 2 s), the official code's {OFFICIAL_S:.0f} s are "
        f"{OFFICIAL_S / taken:,.0f} times that; peak {peak:.0f} MiB (goal 1024 MiB)"
    )


def bench_oracles() -> None:
    """Two obvious loops at a tenth of the official size, and the ratios."""
    truth, found = scene(OFFICIAL_SIZE // 10)
    fast, ours = seconds(lambda: detection_map(truth, found), 20), detection_map(truth, found).average_map
    print(f"a tenth of it, {found.score.size:,d} detections: {1e3 * fast:.1f} ms")
    for name, precisions in (
        ("the tests' oracle: plain loops, a threshold at a time", oracle_precisions(truth, found)),
        ("the official order of loops over NumPy arrays", looped_precisions(truth, found)),
    ):
        begin = time.perf_counter()
        average = float(np.mean(list(precisions)))
        taken = time.perf_counter() - begin
        assert abs(average - ours) < 1e-9, f"{name} finds {average}, we {ours}"
        print(f"  {name}: {taken:.2f} s, {taken / fast:.0f} times ours")


def oracle_precisions(truth: GroundTruth, found: Detections) -> Iterator[float]:
    """Average precisions of all classes and thresholds by the oracle of the property tests."""
    truths = list(zip(*(column.tolist() for column in truth_columns(truth)), strict=True))
    rows = list(zip(*(c.tolist() for c in (*truth_columns(found), found.score)), strict=True))
    for label in np.flatnonzero(truth.truths_per_class):
        mine = [row for row in truths if row[1] == label]
        listed = [row for row in rows if row[1] == label]
        for level in ACTIVITYNET_THRESHOLDS:
            hits = detection_oracle.hits_of_class(mine, listed, level)
            yield detection_oracle.interpolated_area(hits, len(mine))


def truth_columns(table: GroundTruth | Detections) -> tuple[np.ndarray, ...]:
    return table.video_idx, table.label_idx, table.start_s, table.end_s


def looped_precisions(truth: GroundTruth, found: Detections) -> Iterator[float]:
    """The same class by class, prediction by prediction, all thresholds at once for each."""
    for label in np.flatnonzero(truth.truths_per_class):
        numbers = np.flatnonzero(truth.label_idx == label)
        video, start, end = (column[numbers] for column in (truth.video_idx, truth.start_s, truth.end_s))
        listed = np.flatnonzero(found.label_idx == label)
        ranked = listed[np.argsort(found.score[listed], kind="stable")[::-1]]
        hits = np.zeros((NUM_THRESHOLDS, ranked.size))
        is_taken = np.zeros((NUM_THRESHOLDS, numbers.size), np.bool_)
        for rank, number in enumerate(ranked):
            mine = np.flatnonzero(video == found.video_idx[number])
            overlap = np.minimum(end[mine], found.end_s[number]) - np.maximum(
                start[mine], found.start_s[number]
            )
            overlap = np.maximum(overlap, 0)
            lengths = end[mine] - start[mine] + found.end_s[number] - found.start_s[number]
            shares = overlap / (lengths - overlap)
            best_first = np.argsort(shares)[::-1]
            for level, threshold in enumerate(ACTIVITYNET_THRESHOLDS):
                for wish in best_first:
                    if shares[wish] < threshold:
                        break
                    if not is_taken[level, mine[wish]]:
                        is_taken[level, mine[wish]], hits[level, rank] = True, 1
                        break
        for row in hits:
            precision = np.cumsum(row) / np.arange(1, row.size + 1)
            envelope = np.maximum.accumulate(precision[::-1])[::-1]
            yield float((envelope * row).sum() / numbers.size)


def bench_suppression() -> None:
    """A thousand videos with a thousand candidates, the best hundred kept; the oracle on three of them."""
    rng = np.random.default_rng(0)
    centre, width = rng.random((1000, 1000)), 0.6 * rng.random((1000, 1000)) ** 2
    segments = np.clip(np.stack([centre - width / 2, centre + width / 2], axis=2), 0, 1)
    scores = rng.random((1000, 1000)) ** 3
    print("suppression, 1000 videos x 1000 candidates, the best 100 kept")
    for name, function, options, factor in RULES:
        fast = seconds(
            lambda function=function, options=options: function(segments, scores, top=100, **options), 2
        )
        begin = time.perf_counter()
        for row in range(3):
            suppression_oracle.greedy(segments[row].tolist(), scores[row].tolist(), factor, 100)
        slow = (time.perf_counter() - begin) / 3 * len(scores)
        values = ", ".join(f"{key} {value}" for key, value in options.items())
        print(f"  {name} ({values}): {fast:.2f} s, oracle {slow / fast:.0f} times that")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--size"]:
        measure_size(int(sys.argv[2]))
    else:
        begin_s = time.perf_counter()
        bench_sizes()
        bench_oracles()
        bench_suppression()
        print(f"{time.perf_counter() - begin_s:.0f} s in all")
