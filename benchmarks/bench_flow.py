"""Optical flow beside decoding and resizing of the same video, by the size of the frames.

    python benchmarks/bench_flow.py [VIDEO] [--sizes 36x48 112x112 256x320] [--seconds 20] [--method dis]

Both run as an extraction runs them: a child decodes and resizes while this process reads frames and computes
their flow, on one thread each. Times of both are those of the processor, the best of some repeats, so that
other work counts little; the last figure is the clock's. Without VIDEO one is rendered as the demo set is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "models")]

from talaria.config.specs import ClipSpec, DemoSpec, FlowSpec  # noqa: E402
from talaria.data.decoding_messages import DecodedSummary  # noqa: E402
from talaria.data.demo_plan import plan_videos  # noqa: E402
from talaria.data.demo_video import render_video  # noqa: E402
from talaria.data.flow import clip_frames  # noqa: E402


@dataclass(frozen=True)
class Times:
    """Milliseconds a frame: processor time of the decoder and of the flow, and the clock's."""

    decoder: float
    flow: float
    clock: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", nargs="?")
    parser.add_argument("--sizes", nargs="+", default=["36x48", "112x112", "256x320"])
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the video that is rendered")
    parser.add_argument("--method", choices=("dis", "tvl1"), default="dis")
    parser.add_argument("--repeats", type=int, default=3)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = settings.video or rendered(Path(folder), settings.seconds)
        for size in settings.sizes:
            height, width = map(int, size.split("x"))
            spec = ClipSpec(settings.fps, 1, 1, height, width, FlowSpec(settings.method))
            runs = [measured(path, spec) for _ in range(settings.repeats)]
            print(line(size, runs))


def rendered(folder: Path, duration_s: float) -> str:
    """A video of the demo set."""
    spec = DemoSpec(
        num_training=1, min_duration_s=duration_s, max_duration_s=duration_s, num_broken=0, num_short=0
    )
    path = str(folder / "video.mp4")
    render_video(plan_videos(spec)[0], path)
    return path


def measured(path: str, spec: ClipSpec) -> Times:
    """One pass over the video."""
    summary, began_s, began_cpu_s = DecodedSummary(), time.perf_counter(), time.process_time()
    for _ in clip_frames(path, spec, time_limit_s=3600.0, summary=summary):
        pass
    clock_s, flow_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    each_ms = 1000 / summary.num_frames
    return Times(summary.cpu_s * each_ms, flow_s * each_ms, clock_s * each_ms)


def line(size: str, runs: list[Times]) -> str:
    """What a size took."""
    decoder, flow, clock = (min(getattr(run, name) for run in runs) for name in ("decoder", "flow", "clock"))
    return (
        f"{size}: decoding and resizing {decoder:.2f} ms a frame ({1000 / decoder:,.1f} frames/s), "
        f"flow {flow:.2f} ms ({1000 / flow:,.1f} frames/s), {flow / decoder:.1f} times that; "
        f"side by side {1000 / clock:,.1f} frames/s"
    )


if __name__ == "__main__":
    main()
