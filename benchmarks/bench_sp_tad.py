"""SP-TAD: what its heads cost by proposals and by length of the window, and frames a second of its parts.

    python benchmarks/bench_sp_tad.py [--proposals 25 50 100 200] [--frames 256 512 1024 2048] [--threads 1]

Forward passes of the network of the paper (section 4.1), random weights. The heads (pyramid, classifier, four
detection heads) are given levels of noise. Frames a second are those of windows of 256 x 96 x 96, colours
alone, as in table 3: on a CPU one window with an I3D of `--width` channels; where CUDA is available, batches
in bfloat16 with the published width, against the paper's 5,574 frames a second on a V100.
Times on a CPU are those of the processor, the best of some repeats.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "models"), str(ROOT / "benchmarks")]

import torch  # noqa: E402
from fresh_process import best  # noqa: E402

from talaria_models.sp_tad.config import SPTADConfig  # noqa: E402
from talaria_models.sp_tad.model import SPTAD, SPTADHeads  # noqa: E402

Found = TypeVar("Found")

NUM_CLASSES = 20
LEVEL_DIMS = (480, 832, 1024)
"""Channels of the published I3D's stages."""
PAPER_FPS = 5574
"""Table 3: colours alone, one V100."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--proposals", type=int, nargs="+", default=[25, 50, 100, 200], metavar="N")
    parser.add_argument("--frames", type=int, nargs="+", default=[256, 512, 1024, 2048], metavar="L")
    parser.add_argument("--width", type=int, default=16, help="of the I3D on a CPU; 64 is published")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32], help="windows at once on a GPU")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    config = SPTADConfig(streams=("rgb",))
    compare(
        "proposals",
        {
            number: heads_s(replace(config, num_proposals=number), settings.repeats)
            for number in settings.proposals
        },
    )
    compare(
        "frames",
        {
            frames: heads_s(replace(config, window_frames=frames), settings.repeats)
            for frames in settings.frames
        },
    )
    throughput(replace(config, backbone_width=settings.width), 1, "cpu", settings.repeats)
    if torch.cuda.is_available():
        for batch in settings.batches:
            throughput(config, batch, "cuda", settings.repeats)


def compare(axis: str, seconds: dict[int, float]) -> None:
    """Print the time of the heads at each value, and how it grows from the least to the greatest."""
    for value, taken in seconds.items():
        print(f"heads, {value} {axis}: {taken * 1e3:.1f} ms a window", flush=True)
    few, many = min(seconds), max(seconds)
    print(f"heads: {many / few:.1f} times the {axis} take {seconds[many] / seconds[few]:.2f} times the time")


def heads_s(config: SPTADConfig, repeats: int) -> float:
    """Processor time of the heads for one window."""
    torch.manual_seed(0)
    heads = SPTADHeads(config, NUM_CLASSES, LEVEL_DIMS).eval()
    levels = tuple(
        torch.randn(1, channels, config.window_frames // 2**number)
        for number, channels in enumerate(LEVEL_DIMS, start=1)
    )
    return timed(lambda: heads(levels), repeats, "cpu")


def throughput(config: SPTADConfig, batch: int, device: str, repeats: int) -> None:
    """Print frames a second of backbone, heads and both."""
    torch.manual_seed(0)
    model = SPTAD(config, NUM_CLASSES).to(device).eval()
    shape = (batch, config.window_frames, config.crop_size, config.crop_size, 3)
    clips = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    levels = one_pass(lambda: model.backbone(clips), device)
    parts: dict[str, Callable[[], object]] = {
        "backbone": lambda: model.backbone(clips),
        "heads": lambda: model.heads(levels),
        "both": lambda: model(clips),
    }
    print(f"{device}, I3D of width {config.backbone_width}, {batch} x {' x '.join(map(str, shape[1:4]))}:")
    for name, step in parts.items():
        rate = batch * config.window_frames / timed(step, repeats, device)
        print(f"  {name}: {rate:,.0f} frames/s", flush=True)
    if device == "cuda":
        print(
            f"  both: {rate / PAPER_FPS:.1f} times the paper's {PAPER_FPS:,} frames/s on a V100", flush=True
        )


def timed(step: Callable[[], object], repeats: int, device: str) -> float:
    """The least time of a pass; the first one, which loads and chooses kernels, does not count."""
    one_pass(step, device)
    taken = best(lambda: one_pass(step, device), repeats, device)
    return taken.clock if device == "cuda" else taken.processor


def one_pass(step: Callable[[], Found], device: str) -> Found:
    """One forward pass without gradients, in bfloat16 on a GPU."""
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        return step()


if __name__ == "__main__":
    main()
