"""Time and memory of boundary matching: the sparse layer against the dense published one.

    python benchmarks/bench_boundary_matching.py 100 200 256 [--batch 1] [--device cpu]

Sampling, mixing, ReLU and reduction, forward and backward, with the same weights; time and memory of each in
processes of their own. Memory is the peak above the idle process with its weights, plus the sampling mask or
tables; it includes the gradients of the weights. The dense layer takes 6 GiB and half a minute
a pass at D = 256 on two cores.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "models"), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import torch  # noqa: E402
from dense_bmn import DenseMatching  # noqa: E402
from fresh_process import (  # noqa: E402
    MEBIBYTE,
    PeakMemory,
    Seconds,
    best,
    measured_apart,
    return_freed_blocks,
)
from torch import Tensor, nn  # noqa: E402

from talaria_models.layers.boundary_matching import BoundaryMatching  # noqa: E402
from talaria_models.layers.candidate_sampling import SamplingGrid  # noqa: E402

CHANNELS = (256, 512, 128)
"""In, hidden and out, as published."""
TOLERANCE = 1e-4
"""Greatest difference of the outputs inside the video, as a share of the largest."""


@dataclass(frozen=True)
class Case:
    """One measurement."""

    kind: str
    num_snippets: int
    batch: int
    threads: int
    repeats: int
    device: str


@dataclass(frozen=True)
class Memory:
    """Peak of one pass, the sampling's share of it, and (B, P, R) outputs."""

    peak_mib: float
    sampling_mib: float
    rows_BPR: Tensor


@dataclass(frozen=True)
class Measure:
    """What one layer cost: its best pass, and what one needs."""

    taken: Seconds
    memory: Memory


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("num_snippets", type=int, nargs="*", default=[100, 200, 256], metavar="D")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=6, help="passes; a third of them for the dense layer")
    parser.add_argument("--device", default="cpu")
    options = vars(parser.parse_args())
    repeats = options.pop("repeats")
    for size in options.pop("num_snippets"):
        sparse = measured(Case("sparse", size, repeats=repeats, **options))
        dense = measured(Case("dense", size, repeats=max(repeats // 3, 1), **options))
        report(size, sparse, dense)


def report(size: int, sparse: Measure, dense: Measure) -> None:
    """Print both measurements and their ratios; outputs that differ end the program."""
    mine_BPR, published_BPR = sparse.memory.rows_BPR, dense.memory.rows_BPR
    difference = ((mine_BPR - published_BPR).abs().max() / published_BPR.abs().max()).item()
    if difference > TOLERANCE:
        raise SystemExit(f"D={size}: the layers' outputs differ by {difference:.2g} of the largest")
    for kind, found in (("sparse", sparse), ("dense", dense)):
        print(
            f"D={size} {kind}: {found.taken.clock:.3f} s, {found.taken.processor:.3f} s of processor, "
            f"peak {found.memory.peak_mib:.0f} MiB, {found.memory.sampling_mib:.0f} MiB of it for sampling"
        )
    print(
        f"D={size} dense / sparse: time {dense.taken.clock / sparse.taken.clock:.1f}, "
        f"processor time {dense.taken.processor / sparse.taken.processor:.1f}, "
        f"memory {dense.memory.peak_mib / sparse.memory.peak_mib:.1f}; outputs differ by {difference:.1g}",
        flush=True,
    )


def measured(case: Case) -> Measure:
    """Time and memory of one layer."""
    return Measure(measured_apart(time_of, case), measured_apart(memory_of, case))


def time_of(case: Case) -> Seconds:
    """The best of some passes over one batch."""
    module, features, upstream = warm(case)
    return best(lambda: one_pass(module, features, upstream), case.repeats, case.device)


def memory_of(case: Case) -> Memory:
    """What a pass needs, and what the layer gives."""
    return_freed_blocks()
    module, features, upstream = warm(case)
    sampling_mib = sum(table.nbytes for table in module.buffers()) / MEBIBYTE
    memory = PeakMemory(case.device)
    one_pass(module, features, upstream)
    peak_mib = memory.mib() + sampling_mib
    with torch.no_grad():
        return Memory(peak_mib, sampling_mib, module(features).cpu())


def warm(case: Case) -> tuple[nn.Module, Tensor, Tensor]:
    """A layer and its inputs, after a small pass: what libraries set up first belongs to neither layer."""
    torch.set_num_threads(case.threads)
    one_pass(build(case.kind, 16, case.device), *inputs(2, 16, case.device))
    module = build(case.kind, case.num_snippets, case.device)
    return module, *inputs(case.batch, case.num_snippets, case.device)


class SparseLayer(nn.Module):
    """The layer of this project with its reduction."""

    def __init__(self, matching: BoundaryMatching, reduction: nn.Linear) -> None:
        super().__init__()
        self.matching, self.reduction = matching, reduction

    def forward(self, features_BCT: Tensor) -> Tensor:
        rows_BPR: Tensor = self.matching(features_BCT, self.reduction)
        return rows_BPR


class DenseLayer(nn.Module):
    """The published layer with its reduction, of whose map the cells inside the video are kept."""

    def __init__(self, matching: BoundaryMatching, reduction: nn.Linear) -> None:
        super().__init__()
        self.dense = DenseMatching(matching, reduction)
        self.register_buffer("cell_P", matching.cell_P.clone())

    def forward(self, features_BCT: Tensor) -> Tensor:
        rows_BPR: Tensor = self.dense(features_BCT).flatten(2)[:, :, self.cell_P].transpose(1, 2)
        return rows_BPR


def build(kind: str, num_snippets: int, device: str) -> nn.Module:
    """A layer with its reduction; both kinds have the same weights."""
    torch.manual_seed(0)
    in_channels, hidden, out_channels = CHANNELS
    grid = SamplingGrid(num_snippets, 32, 3, 0.5, "start_end")
    matching, reduction = BoundaryMatching(grid, in_channels, hidden), nn.Linear(hidden, out_channels)
    layer = SparseLayer if kind == "sparse" else DenseLayer
    return layer(matching, reduction).to(device)


def inputs(batch: int, num_snippets: int, device: str) -> tuple[Tensor, Tensor]:
    """(B, C, T) features that want a gradient, and the gradient of the (B, P, R) result."""
    torch.manual_seed(1)
    features = torch.randn(batch, CHANNELS[0], num_snippets)
    upstream = torch.randn(batch, num_snippets * (num_snippets + 1) // 2, CHANNELS[2])
    return features.to(device).requires_grad_(), upstream.to(device)


def one_pass(module: nn.Module, features: Tensor, upstream: Tensor) -> None:
    """Forward and backward; gradients are made anew, as by a training step."""
    module.zero_grad()
    features.grad = None
    module(features).backward(upstream)


if __name__ == "__main__":
    main()
