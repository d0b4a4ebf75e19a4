"""Seconds and memory of a comparison with its paired bootstrap, on one core, and of drawing by copying rows.

Run `python benchmarks/bench_comparison.py` from the repository root; less than a minute. Each case runs in a
process of its own, so that peak memory is that case's alone.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
from bench_evaluation import NUM_THRESHOLDS, OFFICIAL_SIZE, peak_mib, scene

from talaria.evaluation.arrays import Detections, GroundTruth
from talaria.evaluation.comparison import compare
from talaria.evaluation.detection import ACTIVITYNET_THRESHOLDS, detection_map
from talaria.evaluation.resampling import WeightedLists, draw_videos

NUM_RESAMPLES = 1000
NUM_DRAWS, NUM_COPIED = 500, 5
GOAL_S, GOAL_MIB = 60, 1024
ROW_BYTES, HIT_BYTES = 32, 120
"""Moved per row (its column, weight, and rank, which is written and read) and per hit (ten passes or so)."""


def two_files(num_classes: int | None) -> tuple[GroundTruth, Detections, Detections]:
    """The scene of bench_evaluation, and its detections with times and scores a little off.

    Args:
        num_classes: the labels are folded to so many; None leaves them.
    """
    truth, first = scene(OFFICIAL_SIZE)
    if num_classes is not None:
        truth = replace(truth, label_idx=truth.label_idx % num_classes)
        first = replace(first, label_idx=first.label_idx % num_classes)
    rng = np.random.default_rng(1)
    shift, change = rng.normal(0, 0.5, first.score.size), rng.normal(0, 0.05, first.score.size)
    second = replace(
        first, start_s=first.start_s + shift, end_s=first.end_s + shift, score=first.score + change
    )
    return truth, first, second


def measure_comparison(num_classes: int | None) -> None:
    """In a process of its own: a comparison of two files, and what it must move."""
    truth, first, second = two_files(num_classes)
    before = peak_mib()
    begin, begin_cpu = time.perf_counter(), time.process_time()
    found = compare(truth, first, second, num_resamples=NUM_RESAMPLES, seed=1)
    taken, busy = time.perf_counter() - begin, time.process_time() - begin_cpu
    more = peak_mib() - before
    lists = [WeightedLists.of(truth, table, ACTIVITYNET_THRESHOLDS) for table in (first, second)]
    rows = sum(part.column_M.size for one in lists for part in one.classes)
    hits = sum(part.hits_TH.size for one in lists for part in one.classes)
    moved = NUM_RESAMPLES * (ROW_BYTES * rows + HIT_BYTES * hits) / 1e9
    change = found.average_map.difference
    print(
        f"classes {np.count_nonzero(truth.truths_per_class)}: {taken:.1f} s (goal {GOAL_S} s), "
        f"{busy:.1f} s of them at work on one core; {more:.0f} MiB above "
        f"the input's {before:.0f} MiB (goal {GOAL_MIB} MiB)\n"
        f"  a draw: {rows:,d} rows to the last hits, {hits:,d} hits; in all {moved:.0f} GB moved, "
        f"{moved / busy:.0f} GB/s\n"
        f"  difference {100 * change.value:+.2f} points, "
        f"{100 * change.low:+.2f} to {100 * change.high:+.2f}"
    )


def measure_copies() -> None:
    """A few draws by really copying the rows; and how much higher draws score than their original."""
    truth, first, _ = two_files(None)
    lists = WeightedLists.of(truth, first, ACTIVITYNET_THRESHOLDS)
    everywhere = np.ones(len(truth.video_ids), np.bool_)
    weights_RV = np.stack(list(draw_videos(everywhere, range(NUM_DRAWS), seed=1)))
    blocks = np.array_split(weights_RV, NUM_DRAWS // lists.draws_at_once)
    begin = time.perf_counter()
    map_R = np.concatenate([np.nanmean(lists.precisions(b), axis=2).mean(axis=1) for b in blocks])
    ours = (time.perf_counter() - begin) / NUM_DRAWS
    begin = time.perf_counter()
    copied = [
        detection_map(*copies(truth, first, weights_V)).average_map for weights_V in weights_RV[:NUM_COPIED]
    ]
    theirs = (time.perf_counter() - begin) / NUM_COPIED
    assert np.allclose(copied, map_R[:NUM_COPIED], rtol=0, atol=1e-12), "copied rows score otherwise"
    measured = detection_map(truth, first).average_map
    print(
        f"a draw of one file: {1e3 * ours:.1f} ms; by copying rows {1e3 * theirs:.0f} ms, "
        f"{theirs / ours:.0f} times that"
    )
    print(
        f"draws score {100 * map_R.mean():.2f} % where the file scores {100 * measured:.2f} %: "
        f"{(map_R.mean() - measured) / map_R.std():.1f} standard deviations of {100 * map_R.std():.2f} more"
    )


def copies(truth: GroundTruth, found: Detections, weights_V: np.ndarray) -> tuple[GroundTruth, Detections]:
    """The truths and detections of a draw: every row as often as its video is drawn, in videos of its own."""
    first_V = np.cumsum(weights_V) - weights_V

    def copied(table: GroundTruth | Detections) -> dict[str, np.ndarray]:
        times = weights_V[table.video_idx]
        nth = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        columns = {name: np.repeat(getattr(table, name), times) for name in ("label_idx", "start_s", "end_s")}
        return {"video_idx": np.repeat(first_V[table.video_idx], times) + nth, **columns}

    score = np.repeat(found.score, weights_V[found.video_idx])
    return replace(truth, **copied(truth)), replace(found, **copied(found), score=score)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--classes"]:
        measure_comparison(int(sys.argv[2]) or None)
    elif sys.argv[1:2] == ["--copies"]:
        measure_copies()
    else:
        print(
            f"two files of {OFFICIAL_SIZE:,d} detections, {NUM_THRESHOLDS} thresholds, "
            f"{NUM_RESAMPLES:,d} draws"
        )
        for case in (["--classes", "0"], ["--classes", "1"], ["--copies"]):
            subprocess.run([sys.executable, __file__, *case], check=True)
