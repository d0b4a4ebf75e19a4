"""What fusing many members costs: a trial of the inner search, and one pass over everybody's maps.

    python benchmarks/bench_fusion.py [--trial] [--pools] [--members 3 6 12] [--videos 750 1500 6000]

A trial is what the inner search repeats thousands of times: weigh 8 members on 6,000 videos x 100 segments,
score, suppress, label, average mAP; on one core. A pass reads the maps (D = 200) of all members,
brings them together and leaves the pools that all trials work on; on all cores, with the memory of every
process. Maps are synthetic: smooth bumps around made-up truths with noise of each member's own.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "models")]
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])

import numpy as np  # noqa: E402
from processes import ACTOR, DRIVER, Watch  # noqa: E402

from talaria.cluster.connect import connected  # noqa: E402
from talaria.config.postprocess import PostprocessConfig  # noqa: E402
from talaria.config.schema import ResourcesSection  # noqa: E402
from talaria.ensemble.pool import Shortlist, VideoPool  # noqa: E402
from talaria.ensemble.pool_store import PoolPlan  # noqa: E402
from talaria.ensemble.scoring import FusionSet  # noqa: E402
from talaria.ensemble.weights import equal_weights  # noqa: E402
from talaria.evaluation.arrays import GroundTruth  # noqa: E402
from talaria.prediction.predict import predict  # noqa: E402
from talaria.prediction.raw import RawPrediction, inside  # noqa: E402
from talaria.prediction.stores import RawMeta, write_raw  # noqa: E402

NUM_CLASSES, NUM_TRUTHS, TRIAL_MEMBERS, TRIAL_SEGMENTS, TRIAL_VIDEOS = 200, 9237, 8, 100, 6000
SNIPPETS = 200
CLASSES = tuple(f"class{index}" for index in range(NUM_CLASSES))
DISTINCT = 24
"""Maps that differ; videos take turns, since making a map takes longer than fusing it."""
PER_SHARD = 64
LIMIT_GIB = 4.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trial", action="store_true", help="the trial alone")
    parser.add_argument("--pools", action="store_true", help="the pass alone")
    parser.add_argument("--members", type=int, nargs="+", default=[3, 6, 12])
    parser.add_argument("--videos", type=int, nargs="+", default=[750, 1500, 6000])
    asked = parser.parse_args()
    if asked.trial or not asked.pools:
        trial()
    if asked.pools or not asked.trial:
        passes(asked.members, asked.videos)


def trial() -> None:
    """Print what a full trial takes on one core."""
    data = flat_set()
    config, weights = PostprocessConfig(), equal_weights(TRIAL_MEMBERS)
    data.average_map(weights, config)
    times = []
    for _ in range(5):
        began_s = time.process_time()
        data.average_map(weights, config)
        times.append(time.process_time() - began_s)
    print(
        f"trial: {TRIAL_MEMBERS} members, {TRIAL_VIDEOS} videos x {TRIAL_SEGMENTS} segments: "
        f"{min(times):.2f} s of one core (goal 1 s), {1 / min(times):.2f} trials a second; process at "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB",
        flush=True,
    )


def flat_set() -> FusionSet:
    """Random segments, some near truths, with beliefs that know which."""
    rng = np.random.default_rng(0)
    video_ids = tuple(f"v{index:05d}" for index in range(TRIAL_VIDEOS))
    start = rng.random(NUM_TRUTHS) * 100
    truth = GroundTruth(
        video_ids,
        CLASSES,
        rng.integers(0, TRIAL_VIDEOS, NUM_TRUTHS),
        rng.integers(0, NUM_CLASSES, NUM_TRUTHS),
        start,
        start + 4 + 16 * rng.random(NUM_TRUTHS),
    )
    pools = []
    for index, video_id in enumerate(video_ids):
        begin = rng.random(TRIAL_SEGMENTS) * 0.9
        segments = np.stack([begin, begin + 0.02 + 0.08 * rng.random(TRIAL_SEGMENTS)], axis=1)
        beliefs = rng.random((TRIAL_MEMBERS, 4, TRIAL_SEGMENTS), np.float32)
        own = tuple(Shortlist(segments[:1], one[None, :, :1]) for one in beliefs)
        logits = rng.normal(size=(1, 1, NUM_CLASSES)).astype(np.float32)
        label = truth.label_idx[truth.video_idx == index]
        logits[..., label] += 4
        pools.append(
            VideoPool(
                video_id, 120.0, Shortlist(segments, beliefs), own, logits.repeat(TRIAL_MEMBERS, axis=0)
            )
        )
    return FusionSet.of([f"m{index}" for index in range(TRIAL_MEMBERS)], pools, truth)


def passes(members: list[int], videos: list[int]) -> None:
    """Print what one pass takes, for each number of members and of videos."""
    with tempfile.TemporaryDirectory() as temporary, connected(ResourcesSection(), {}) as capacity:
        folder, cores = Path(temporary), os.cpu_count() or 1
        with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
            list(
                pool.map(
                    written_member, [(str(folder / f"m{i}"), i, max(videos)) for i in range(max(members))]
                )
            )
        cases = [(max(members), count) for count in videos] + [(count, min(videos)) for count in members[:-1]]
        for num_members, num_videos in cases:
            ids = tuple(f"v{index:05d}" for index in range(num_videos))
            out = folder / f"pools-{num_members}-{num_videos}"
            stores = tuple(str(folder / f"m{index}") for index in range(num_members))
            plan = PoolPlan(str(out), stores, PostprocessConfig().proposals_per_video, True, ids)
            with Watch(every_s=0.5) as watch:
                began_s = time.monotonic()
                first_s: list[float] = []
                predict(
                    [plan],
                    ResourcesSection(),
                    capacity,
                    lambda _, ended=first_s: ended.append(time.monotonic()),
                )
                ended_s = time.monotonic()
            held_gib = (watch.peak_mib[DRIVER] + cores * watch.peak_mib[ACTOR]) / 1024
            size_mib = sum(path.stat().st_size for path in plan.folder.glob("*")) / 2**20
            map_ms = 1000 * (ended_s - first_s[0]) * cores / (num_members * num_videos)
            print(
                f"pass: {num_members:2d} members x {num_videos:5d} videos, D={SNIPPETS}: "
                f"{ended_s - began_s:.0f} s, {map_ms:.2f} ms of a core a map after the first shard; "
                f"all processes {held_gib:.2f} GiB (goal {LIMIT_GIB:g}); pools {size_mib:.0f} MiB",
                flush=True,
            )


def written_member(case: tuple[str, int, int]) -> None:
    """One member's raw predictions of all videos."""
    folder, member, num_videos = case
    rng = np.random.default_rng(member)
    ids = tuple(f"v{index:05d}" for index in range(num_videos))
    meta = RawMeta(f"m{member}", "synthetic", "validation", ids, CLASSES, "decoded")
    maps = [bumps(rng) for _ in range(DISTINCT)]
    for begin in range(0, num_videos, PER_SHARD):
        rows = [
            RawPrediction(
                video_id,
                120.0,
                *maps[(begin + index) % DISTINCT],
                rng.normal(size=(1, NUM_CLASSES)).astype(np.float32),
            )
            for index, video_id in enumerate(ids[begin : begin + PER_SHARD])
        ]
        write_raw(Path(folder) / f"part-{begin:06d}.parquet", rows, meta)


def bumps(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Startness, endness and maps with some hills."""
    duration, begin = np.nonzero(inside(SNIPPETS))
    maps = np.zeros((2, SNIPPETS, SNIPPETS), np.float32)
    hills = sum(
        np.exp(-((begin - b) ** 2 + (begin + duration - e) ** 2) / 80)
        for b, e in np.sort(rng.integers(0, SNIPPETS, (6, 2)), axis=1)
    )
    maps[:, inside(SNIPPETS)] = np.clip(hills + 0.1 * rng.random((2, len(begin))), 0, 1)
    return rng.random(SNIPPETS), rng.random(SNIPPETS), maps


if __name__ == "__main__":
    main()
