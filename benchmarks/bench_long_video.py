"""Memory of an extraction's processes on a 720p video of two hours, beside one of a tenth of that.

    python benchmarks/bench_long_video.py [--minutes 12 120]

The long file repeats the packets of one encoded minute. Memory is the most that each kind of process was seen
to hold, twice a second; shared pages count for each.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import av
import psutil
from bench_extraction import encoded, extracted, plan_in, took_s

from talaria.cluster.connect import connected
from talaria.config.schema import ResourcesSection
from talaria.config.specs import ClipSpec
from talaria.records import Video

CLIP = ClipSpec(fps=10, num_frames=16, stride_frames=8, height=64, width=64)
SOURCE = (1280, 720, 25)
EVERY_S = 0.5
LIMIT_MIB = 1536


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=int, nargs="+", default=[12, 120])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        minute = encoded(folder / "minute.mp4", 0, 60, SOURCE)
        for minutes in asked.minutes:
            path = repeated(minute, folder / f"{minutes}.mp4", minutes)
            with connected(ResourcesSection(actors=1), {}) as capacity:
                plan = plan_in(folder / f"plan{minutes}", CLIP)
                video = Video(path.stem, str(path), "testing", 60.0 * minutes, ())
                with watched() as peaks:
                    found = list(extracted(plan, [video], capacity))
            held = ", ".join(f"{kind} {mib:.0f} MiB" for kind, mib in sorted(peaks.items()))
            print(
                f"{minutes} minutes of 720p, {found[0][1].num_snippets} snippets: {took_s(found):.0f} s; "
                f"{held} (goal {LIMIT_MIB} MiB)",
                flush=True,
            )
            path.unlink()


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """The most resident memory of actors, decoders and this process while the block runs, in MiB."""
    peaks: dict[str, float] = defaultdict(float)
    done = threading.Event()

    def look() -> None:
        while not done.wait(EVERY_S):
            for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    kind = kind_of(process)
                    if kind:
                        peaks[kind] = max(peaks[kind], process.memory_info().rss / 2**20)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()


def kind_of(process: psutil.Process) -> str:
    """Which part of the extraction a process is; empty for parts of Ray."""
    line = " ".join(process.cmdline())
    if process.pid == os.getpid():
        return "driver"
    return "actor" if line.startswith("ray::MapWorker") else "decoder" if "decoding_child" in line else ""


def repeated(minute: Path, path: Path, times: int) -> Path:
    """A file of the same packets, `times` times."""
    with av.open(str(minute)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.dts is not None]
        step = round(60 / Fraction(stream.time_base))
        for number in range(times):
            for packet in packets:
                moved = av.Packet(bytes(packet))
                moved.pts, moved.dts = packet.pts + number * step, packet.dts + number * step
                moved.duration, moved.is_keyframe = packet.duration, packet.is_keyframe
                moved.time_base, moved.stream = packet.time_base, copy
                target.mux(moved)
    return path


if __name__ == "__main__":
    began_s = time.monotonic()
    main()
    print(f"{time.monotonic() - began_s:.0f} s in all")
