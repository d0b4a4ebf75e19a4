"""Time and memory of the local heads of the Local-Global Temporal Encoder by the length of the video.

    python benchmarks/bench_local_global.py 1000 2000 4000 [--channels 512] [--batch 2] [--device cpu]

The local heads (half of them) run forward and backward on the same projected features, once on their window
only, once as published: all T x T weights, masked. Each runs in a process of its own so that its peak memory
is its own. Times on a CPU are those of the processor, so that other work on the machine counts little. The
last lines compare the longest video with the shortest.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "models")]

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from talaria_models.layers.local_global import window_attention  # noqa: E402

MEBIBYTE = 2**20
WARM_UP = 32
"""Snippets of a first step that loads libraries and starts threads before anything is measured."""


@dataclass(frozen=True)
class Case:
    """One measurement."""

    kind: str
    num_snippets: int
    channels: int
    heads: int
    window: int
    batch: int
    threads: int
    repeats: int
    device: str


@dataclass(frozen=True)
class Measure:
    """Best step, peak memory above the idle process, and a number by which both kinds must agree."""

    step_s: float
    peak_mib: float
    total: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("num_snippets", type=int, nargs="*", default=[1000, 2000, 4000], metavar="T")
    parser.add_argument("--channels", type=int, default=512, help="of the features, all heads together")
    parser.add_argument("--heads", type=int, default=8, help="all of them; half are local")
    parser.add_argument("--window", type=int, default=9)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = vars(parser.parse_args())
    sizes = options.pop("num_snippets")
    found = {
        (kind, size): measured_apart(Case(kind, size, **options))
        for size in sizes
        for kind in ("window", "dense")
    }
    for size in sizes:
        window, dense = found["window", size], found["dense", size]
        if abs(window.total - dense.total) > 1e-4 * abs(dense.total):
            raise SystemExit(f"T={size}: the kinds disagree, {window.total} and {dense.total}")
        for kind, measure in (("window", window), ("dense", dense)):
            print(f"T={size} {kind}: {measure.step_s * 1e3:.1f} ms, peak {measure.peak_mib:.0f} MiB")
        time_ratio, memory_ratio = dense.step_s / window.step_s, dense.peak_mib / window.peak_mib
        print(f"T={size} dense / window: time {time_ratio:.1f}, memory {memory_ratio:.1f}")
    first, last = min(sizes), max(sizes)
    for kind in ("window", "dense"):
        short, long = found[kind, first], found[kind, last]
        print(
            f"{kind}: {last / first:.1f} times the length takes {long.step_s / short.step_s:.1f} times the "
            f"time and {long.peak_mib / short.peak_mib:.1f} times the memory"
        )


def measured_apart(case: Case) -> Measure:
    """`measure` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, case).result()


def measure(case: Case) -> Measure:
    """Time and memory of forward and backward over one batch."""
    torch.set_num_threads(case.threads)
    run_step(case, projected(case, WARM_UP))
    tensors = projected(case, case.num_snippets)
    idle = peak_mib(case.device)
    totals = [run_step(case, tensors) for _ in range(case.repeats)]
    return Measure(min(step for step, _ in totals), peak_mib(case.device) - idle, totals[-1][1])


def projected(case: Case, size: int) -> list[Tensor]:
    """Query, key and value (B, T, H, D) of the local heads."""
    torch.manual_seed(0)
    shape = (case.batch, size, case.heads // 2, case.channels // case.heads)
    tensors = [torch.randn(shape, device=case.device, requires_grad=True) for _ in range(3)]
    for tensor in tensors:
        tensor.grad = torch.zeros_like(tensor)
    return tensors


def run_step(case: Case, tensors: list[Tensor]) -> tuple[float, float]:
    """Seconds of one forward and backward pass, and the sum of squares of the output."""
    valid = torch.ones(tensors[0].shape[:2], dtype=torch.bool, device=case.device)
    clock = time.perf_counter if case.device.startswith("cuda") else time.process_time
    started = clock()
    if case.kind == "window":
        output = window_attention(*tensors, valid, case.window)
    else:
        output = masked_attention(*tensors, case.window)
    total = output.square().sum()
    total.backward()
    value = total.item()  # waits for the device
    return clock() - started, value


def masked_attention(query_BTHD: Tensor, key_BTHD: Tensor, value_BTHD: Tensor, window: int) -> Tensor:
    """The published computation: a T x T matrix of weights for every head, all but the window masked."""
    query, key, value = (part.transpose(1, 2) for part in (query_BTHD, key_BTHD, value_BTHD))
    snippet = torch.arange(query.shape[2], device=query.device)
    hidden_TT = (snippet[:, None] - snippet[None, :]).abs() > window // 2
    scores = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
    weights = scores.masked_fill(hidden_TT, float("-inf")).softmax(dim=-1)
    return (weights @ value).transpose(1, 2)


def peak_mib(device: str) -> float:
    """Peak memory so far: of the device's allocator, or of this process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / MEBIBYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
