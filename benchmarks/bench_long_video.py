"""Memory of an extraction's processes on a 720p video of two hours, beside one of a tenth of that.

    python benchmarks/bench_long_video.py [--minutes 12 120]

The long file repeats the packets of one encoded minute. Memory is the most that each kind of process was seen
to hold, twice a second; shared pages count for each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import av
from bench_extraction import encoded, extracted, plan_in, span_s
from processes import ACTOR, DECODER, DRIVER, Watch

from talaria.cluster.connect import connected
from talaria.config.schema import ResourcesSection
from talaria.config.specs import ClipSpec
from talaria.records import Video

CLIP = ClipSpec(fps=10, num_frames=16, stride_frames=8, height=64, width=64)
SOURCE = (1280, 720, 25)
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
                with Watch(every_s=0.5) as watch:
                    found = list(extracted(plan, [video], capacity))
            began_s, ended_s = span_s(found)
            held = ", ".join(f"{kind} {watch.peak_mib[kind]:.0f} MiB" for kind in (ACTOR, DECODER, DRIVER))
            print(
                f"{minutes} minutes of 720p, {found[0][1].num_snippets} snippets: {ended_s - began_s:.0f} s; "
                f"{held} (goal {LIMIT_MIB} MiB)",
                flush=True,
            )
            path.unlink()


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
