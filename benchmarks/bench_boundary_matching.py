"""Time and memory of boundary matching: the sparse layer against the dense published one.

    python benchmarks/bench_boundary_matching.py 64 100 [--channels 256 512] [--batch 1] [--device cpu]

Both layers run forward and backward from the same weights, each in a process of its own so that its peak
memory is its own. The dense layer needs about 1 GB and 4 s a step at D = 100 with the published channels.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "models"), str(ROOT / "tests")]

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from reference.bm_sampling import dense_mask  # noqa: E402
from talaria_models.layers.boundary_matching import BoundaryMatching, SamplingGrid  # noqa: E402

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Case:
    """One measurement."""

    kind: str
    num_snippets: int
    channels: tuple[int, int]
    batch: int
    threads: int
    repeats: int
    device: str


@dataclass(frozen=True)
class Measure:
    """What one layer cost: best step, peak memory above the idle process, size of its sampling tables."""

    step_s: float
    peak_mib: float
    tables_mib: float
    total: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "num_snippets", type=int, nargs="*", default=[64, 100], metavar="D", help="sizes of the map"
    )
    parser.add_argument("--channels", type=int, nargs=2, default=(256, 512), metavar=("C", "H"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = vars(parser.parse_args())
    options["channels"] = tuple(options["channels"])
    for size in options.pop("num_snippets"):
        sparse, dense = (measured_apart(Case(kind, size, **options)) for kind in ("sparse", "dense"))
        if abs(sparse.total - dense.total) > 1e-3 * abs(dense.total):
            raise SystemExit(f"D={size}: the layers disagree, {sparse.total} and {dense.total}")
        for kind, found in (("sparse", sparse), ("dense", dense)):
            print(
                f"D={size} {kind}: {found.step_s * 1e3:.0f} ms, peak {found.peak_mib:.0f} MiB, "
                f"sampling tables {found.tables_mib:.1f} MiB"
            )
        time_ratio, memory_ratio = dense.step_s / sparse.step_s, dense.peak_mib / sparse.peak_mib
        print(f"D={size} dense / sparse: time {time_ratio:.1f}, memory {memory_ratio:.1f}", flush=True)


def measured_apart(case: Case) -> Measure:
    """`measure` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, case).result()


def measure(case: Case) -> Measure:
    """Time and memory of forward and backward over one batch."""
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    grid = SamplingGrid(case.num_snippets, 32, 3, 0.5, "duration_start")
    layer = BoundaryMatching(grid, *case.channels).to(case.device)
    features = torch.randn(case.batch, case.channels[0], case.num_snippets, device=case.device)
    features.requires_grad_(True)
    run, tables = (layer, list(layer.buffers())) if case.kind == "sparse" else dense_layer(layer)
    idle = peak_mib(case.device)
    steps = [timed_step(run, features, case.device) for _ in range(case.repeats)]
    tables_mib = sum(table.nbytes for table in tables) / MEBIBYTE
    peak = peak_mib(case.device) - idle + tables_mib
    return Measure(min(steps), peak, tables_mib, run(features).sum().item())


def dense_layer(layer: BoundaryMatching) -> tuple[Callable[[Tensor], Tensor], list[Tensor]]:
    """The published computation with the weights of `layer`, reduced to the same candidates."""
    grid = layer.grid
    size = grid.num_snippets
    mask = torch.from_numpy(dense_mask(grid)).reshape(size, -1).to(layer.bias_H.device)
    kernel = layer.mixing_CNH.permute(2, 0, 1)[..., None, None]

    def run(features_BCT: Tensor) -> Tensor:
        samples = (features_BCT @ mask).unflatten(2, (grid.num_samples, size, size))
        return F.conv3d(samples, kernel, layer.bias_H).flatten(2)[:, :, layer.cell_P]

    return run, [mask]


def timed_step(run: Callable[[Tensor], Tensor], features: Tensor, device: str) -> float:
    """Seconds of one forward and backward pass."""
    started = time.perf_counter()
    run(features).sum().backward(retain_graph=True)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started


def peak_mib(device: str) -> float:
    """Peak memory so far: of the device's allocator, or of this process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / MEBIBYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
