"""Extraction against its own limit, against decoding clip by clip, and what a tiny video costs.

    python benchmarks/bench_extraction.py [--videos 40] [--seconds 60] [--tiny 100 2000]

On a CPU the limit is (decoding + forward) processor seconds over cores, both measured alone, on every core at
once, before and after, since a machine's speed wanders; on a GPU it is the greater of the two. Time counts
from the first video that an actor begins. "Clip by clip" opens the file for every clip, seeks, decodes and
computes it, on every core at once.
What neither a decoder nor a network used is counted by process: the actors' rest (frames through pipes,
cutting, the store), Ray's processes and the driver. Most of Ray's work comes with time, not with chunks; what
a chunk adds to it is told by two extractions of the same videos in many and in few chunks.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "models")]
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])

import av  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
import torch  # noqa: E402
from processes import ACTOR, DECODER, DRIVER, RAY, Watch  # noqa: E402

from talaria.cluster.connect import Capacity, connected  # noqa: E402
from talaria.config.schema import ResourcesSection  # noqa: E402
from talaria.config.specs import ClipSpec  # noqa: E402
from talaria.data.decoding_messages import DecodedSummary, VideoRequest  # noqa: E402
from talaria.data.video import decode_video  # noqa: E402
from talaria.features.chunk_network import ChunkNetwork  # noqa: E402
from talaria.features.chunks import chunk_frames  # noqa: E402
from talaria.features.extraction import extract  # noqa: E402
from talaria.features.requests import Extracted, ExtractionPlan, StageLimits  # noqa: E402
from talaria.records import Video  # noqa: E402
from talaria.store.checkpoint import SavedModel, save_model  # noqa: E402
from talaria.store.feature_store import FeatureStore  # noqa: E402
from talaria.store.ledger import Ledger  # noqa: E402
from talaria_models import registry  # noqa: E402
from talaria_models.backbones.slowfast.config import TINY  # noqa: E402

CLIP = ClipSpec(fps=15, num_frames=32, stride_frames=4, height=96, width=96)
"""As the 2021 winners extract: 32 frames, every second one of 30 fps, a clip every 8 frames; smaller."""
NETWORK = TINY
CHUNK_CLIPS = 16
SOURCE = (1280, 720, 30)
"""Width, height and rate of the videos."""
REST_S = 20.0
FURTHER_S, FURTHER_CLIPS = 480, (2, 32)
"""Seconds of each video, and clips of a chunk, where chunks are compared with fewer ones."""
SINGLE_CLIPS = 24
"""Clips that are decoded one by one on each core."""


@dataclass(frozen=True)
class Share:
    """Processor seconds of one core's part, and what it did."""

    seconds: float
    units: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--tiny", type=int, nargs=2, default=(100, 2000), metavar=("FEW", "MANY"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, connected(ResourcesSection(), {}) as capacity:
        folder = Path(temporary)
        plan = plan_in(folder / "long", CLIP)
        videos = written_videos(folder, asked.videos, asked.seconds, SOURCE)
        against_limit(plan, videos, capacity)
        further_chunks(folder, capacity)
        tiny_videos(folder, asked.tiny, capacity)


def against_limit(plan: ExtractionPlan, videos: Sequence[Video], capacity: Capacity) -> None:
    """Print one extraction beside what its parts take alone."""
    cores = os.cpu_count() or 1
    paths = [str(video.path) for video in videos]
    before = alone(plan, paths)
    single = on_every_core(clip_by_clip, [(path, plan) for path in paths[:cores]])
    at_rest = rest_share()
    with Watch(every_s=5.0) as watch:
        found = list(extracted(plan, videos, capacity))
    decode, forward = ((one + other) / 2 for one, other in zip(before, alone(plan, paths), strict=True))
    began_s, ended_s = span_s(found)
    wall_s, used_s = ended_s - began_s, watch.used_s(began_s, ended_s)
    num_chunks = sum(-(-one.num_snippets // plan.chunk_clips) for _, one in found)
    num_clips = sum(one.num_snippets for _, one in found)
    decode_s, forward_s = decode * len(videos), forward * num_chunks
    limit_s = (
        max(decode_s / cores, forward_s) if torch.cuda.is_available() else (decode_s + forward_s) / cores
    )
    forward_within_s = sum(one.forward_cpu_s for _, one in found)
    taken_ms = 1000 * (used_s[ACTOR] - forward_within_s) / num_chunks
    ray_ms = 1000 * (used_s[RAY] + used_s[DRIVER]) / num_chunks
    above_ms = ray_ms - 1000 * at_rest * wall_s / num_chunks
    stored_ms = store_ms(plan, num_clips // len(videos))
    print(
        f"{len(videos)} videos, {num_clips} clips of {plan.spec.num_frames} frames in {num_chunks} chunks, "
        f"{cores} cores\n"
        f"alone: decoding {decode_s:.1f} s of processor, forward {forward_s:.1f} s; limit {limit_s:.1f} s\n"
        f"extraction: {wall_s:.1f} s, {wall_s / limit_s:.2f} of the limit (goal 1.15), "
        f"{num_clips / wall_s:.0f} clips/s\n"
        f"in it: decoders {used_s[DECODER]:.1f} s of processor, forward {forward_within_s:.1f} s, "
        f"the rest of the actors {used_s[ACTOR] - forward_within_s:.1f} s, Ray {used_s[RAY]:.1f} s, "
        f"driver {used_s[DRIVER]:.1f} s; idle {cores * wall_s - sum(used_s.values()):.1f} s\n"
        f"a chunk: {taken_ms:.1f} ms of a core to take, cut and store, {stored_ms:.2f} of them in the store; "
        f"{ray_ms:.1f} ms for Ray's processes and the driver, {above_ms:.1f} of them above the "
        f"{at_rest:.1%} of a core that they use at rest (goal 2 ms for Ray and the store)\n"
        f"clip by clip: {single * num_clips / cores:.1f} s, {single * num_clips / cores / wall_s:.1f} times "
        "as long (goal 5)",
        flush=True,
    )


def alone(plan: ExtractionPlan, paths: Sequence[str]) -> tuple[float, float]:
    """Processor seconds of decoding a video and of a chunk's forward pass."""
    cores = os.cpu_count() or 1
    decode = on_every_core(decoded_alone, [(path, plan) for path in paths[:cores]])
    return decode, on_every_core(computed_alone, [(paths[0], plan)] * cores)


def rest_share() -> float:
    """Part of a core that Ray's processes and this one use while nothing is asked of them."""
    began_s = time.monotonic()
    with Watch(every_s=5.0) as watch:
        time.sleep(REST_S)
    used_s = watch.used_s(began_s, time.monotonic())
    return (used_s[RAY] + used_s[DRIVER]) / REST_S


def store_ms(plan: ExtractionPlan, num_clips: int) -> float:
    """Milliseconds of a core that the store takes for a chunk of a video with so many clips."""
    store, chunk_clips = FeatureStore(Path(plan.store)), plan.chunk_clips
    network = ChunkNetwork(plan)
    shape = (chunk_frames(plan.spec, chunk_clips), plan.spec.height, plan.spec.width, 3)
    features_KC, logits_KK = network(np.zeros(shape, np.uint8))
    num_chunks, repeats = -(-num_clips // chunk_clips), 5
    began_s = time.process_time()
    for index in range(repeats):
        with store.writer(f"measured{index}") as shard:
            for _ in range(num_chunks):
                shard.append(features_KC, logits_KK)
            shard.close(1.0, "")
    return 1000 * (time.process_time() - began_s) / (repeats * num_chunks)


def further_chunks(folder: Path, capacity: Capacity) -> None:
    """Print what a chunk more costs in Ray's processes, the driver and the store.

    The same frames go to small and to large chunks; what Ray uses at rest is left out.
    """
    clip = replace(CLIP, height=32, width=32, fps=8)
    videos = written_videos(folder / "further", 2 * int(capacity.cpus), FURTHER_S, (64, 48, 8))
    at_rest, costs = rest_share(), list[tuple[int, float]]()
    for chunk_clips in FURTHER_CLIPS:
        plan = replace(plan_in(folder / f"further{chunk_clips}", clip, TINY), chunk_clips=chunk_clips)
        with Watch(every_s=2.0) as watch:
            found = list(extracted(plan, videos, capacity))
        began_s, ended_s = span_s(found)
        used_s = watch.used_s(began_s, ended_s)
        above_s = used_s[RAY] + used_s[DRIVER] - at_rest * (ended_s - began_s)
        costs.append((sum(-(-one.num_snippets // chunk_clips) for _, one in found), above_s))
    (many, more_s), (few, less_s) = costs
    ray_ms = 1000 * (more_s - less_s) / (many - few)
    stored_ms = store_ms(plan, 1000)
    print(
        f"{many} instead of {few} chunks of the same frames: {more_s:.2f} instead of {less_s:.2f} s of "
        f"processor for Ray and the driver above rest; a chunk more takes {ray_ms:.2f} ms there and "
        f"{stored_ms:.2f} ms in the store",
        flush=True,
    )


def tiny_videos(folder: Path, counts: Sequence[int], capacity: Capacity) -> None:
    """Print what a video of one second costs among few and among many, and the driver's memory."""
    clip = replace(CLIP, height=32, width=32, fps=8)
    per_video = []
    for count in counts:
        plan = plan_in(folder / f"tiny{count}", clip, TINY)
        videos = written_videos(folder / f"videos{count}", count, 1, (64, 48, 8))
        before = psutil.Process().memory_info().rss / 2**20
        began_s, ended_s = span_s(list(extracted(plan, videos, capacity)))
        wall_s = ended_s - began_s
        after = psutil.Process().memory_info().rss / 2**20
        per_video.append(wall_s / count)
        print(
            f"{count} videos of 1 s: {wall_s:.1f} s, {1000 * wall_s / count:.1f} ms a video, "
            f"driver {before:.0f} -> {after:.0f} MiB",
            flush=True,
        )
    print(f"a video among many costs {per_video[1] / per_video[0]:.2f} of one among few (goal 1.1)")


def extracted(
    plan: ExtractionPlan, videos: Sequence[Video], capacity: Capacity
) -> Iterator[tuple[float, Extracted]]:
    """Extract; (time at the driver, what came of it) for every video."""
    ended: list[tuple[float, Extracted]] = []
    extract(
        plan,
        videos,
        Ledger(Path(plan.store)),
        StageLimits(600.0, 0.0),
        ResourcesSection(),
        capacity,
        lambda row, found: ended.append((time.monotonic(), found)),
    )
    return iter(ended)


def span_s(ended: Sequence[tuple[float, Extracted]]) -> tuple[float, float]:
    """When the first video began and the last one ended, as `time.monotonic` has it."""
    return min(at - found.wall_s for at, found in ended), max(at for at, _ in ended)


def on_every_core(
    work: Callable[[tuple[str, ExtractionPlan]], Share], cases: Sequence[tuple[str, ExtractionPlan]]
) -> float:
    """Mean processor seconds of a unit of work, done on all cores at once."""
    with ProcessPoolExecutor(len(cases), mp_context=get_context("spawn")) as pool:
        shares = list(pool.map(work, cases))
    return sum(share.seconds for share in shares) / sum(share.units for share in shares)


def decoded_alone(case: tuple[str, ExtractionPlan]) -> Share:
    """One video's frames as the network needs them, without sending them anywhere."""
    path, plan = case
    request = VideoRequest(path, plan.spec.fps, plan.spec.height, plan.spec.width)
    began_s = time.process_time()
    for item in decode_video(request, plan.spec.fps):
        assert isinstance(item, DecodedSummary) or len(item)
    return Share(time.process_time() - began_s, 1)


def computed_alone(case: tuple[str, ExtractionPlan]) -> Share:
    """Chunks of frames through the network."""
    _, plan = case
    network, spec = ChunkNetwork(plan), plan.spec
    shape = (chunk_frames(spec, plan.chunk_clips), spec.height, spec.width, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    network(frames)
    began_s, repeats = time.process_time(), 12
    for _ in range(repeats):
        network(frames)
    return Share(time.process_time() - began_s, repeats)


def clip_by_clip(case: tuple[str, ExtractionPlan]) -> Share:
    """Clips spread over a video, each with a file of its own to open, to seek in and to decode."""
    path, plan = case
    network, spec = ChunkNetwork(replace(plan, chunk_clips=1)), plan.spec
    with av.open(path) as container:
        duration_s = float(container.duration / av.time_base)
    network(np.zeros((spec.num_frames, spec.height, spec.width, 3), np.uint8))
    starts_s = np.linspace(0, duration_s - spec.num_frames / spec.fps, SINGLE_CLIPS)
    began_s = time.process_time()
    for start_s in starts_s:
        network(one_clip(path, float(start_s), spec))
    return Share(time.process_time() - began_s, SINGLE_CLIPS)


def one_clip(path: str, start_s: float, spec: ClipSpec) -> np.ndarray:
    """(L, H, W, 3) frames from `start_s` on, sought from the key frame before."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        container.seek(int(start_s / stream.time_base), stream=stream)
        times_s = start_s + np.arange(spec.num_frames) / spec.fps
        clip: list[np.ndarray] = []
        for frame in container.decode(stream):
            shown_until_s = frame.time + 1 / float(stream.average_rate)
            while len(clip) < spec.num_frames and times_s[len(clip)] < shown_until_s:
                clip.append(frame.reformat(spec.width, spec.height, "rgb24").to_ndarray())
            if len(clip) == spec.num_frames:
                break
    return np.stack(clip + [clip[-1]] * (spec.num_frames - len(clip)))


def plan_in(folder: Path, spec: ClipSpec, config: registry.ModelConfig = NETWORK) -> ExtractionPlan:
    """A store and an untrained network."""
    torch.manual_seed(0)
    sizes = {"num_classes": 9, "num_frames": spec.num_frames, "height": spec.height, "width": spec.width}
    save_model(folder / "model", registry.build(config, **sizes), SavedModel(config, sizes, {}))
    (folder / "store").mkdir()
    return ExtractionPlan(str(folder / "store"), str(folder / "model"), spec, CHUNK_CLIPS, "float16", 600.0)


def written_videos(folder: Path, count: int, seconds: int, source: tuple[int, int, int]) -> list[Video]:
    """H.264 files of drifting texture; each a file of its own with the bytes of one of four."""
    folder.mkdir(exist_ok=True)
    originals = [
        encoded(folder / f"original{seed}.mp4", seed, seconds, source) for seed in range(min(count, 4))
    ]
    videos = []
    for index, original in zip(range(count), itertools.cycle(originals)):
        path = folder / f"v{index:05d}.mp4"
        path.write_bytes(original.read_bytes())
        videos.append(Video(path.stem, str(path), "testing", float(seconds), ()))
    return videos


def encoded(path: Path, seed: int, seconds: int, source: tuple[int, int, int]) -> Path:
    """One video."""
    width, height, fps = source
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    texture = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * fps):
            x, y = int(30 + 29 * np.sin(number / 23 + seed)), int(30 + 29 * np.cos(number / 17))
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(texture[y : y + height, x : x + width]), "rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


if __name__ == "__main__":
    main()
