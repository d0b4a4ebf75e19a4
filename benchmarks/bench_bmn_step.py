"""A whole training step of BMN against the same network as published: dense mask, Conv3d, whole maps.

    python benchmarks/bench_bmn_step.py 100 200 256 [--batch 4] [--channels 2304] [--device cpu]

Forward, loss, backward and optimiser, both networks with the same weights on the same cores, each in a
process of its own. Where the dense network does not fit half of the free memory with the whole batch, both
also run with one video, and the ratio is that of one video.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "models"), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from dense_bmn import DenseBMN  # noqa: E402
from fresh_process import MEBIBYTE, PeakMemory, Seconds, available_mib, best, measured_apart  # noqa: E402
from torch import Tensor  # noqa: E402

from talaria_models.bmn.config import BMNConfig  # noqa: E402
from talaria_models.bmn.criterion import BMNCriterion, inside_map  # noqa: E402
from talaria_models.bmn.model import BMN, BMNOutput  # noqa: E402
from talaria_models.bmn.targets import build_targets  # noqa: E402

TOLERANCE = 1e-4
"""Greatest difference of the logits inside the video."""
TRUTHS = ([[0.2, 0.6], [0.7, 0.9]], [[0.0, 1.0]], [[0.33, 0.41]], [[0.1, 0.15], [0.5, 0.75]])
"""Segments of the videos, in turn."""


@dataclass(frozen=True)
class Case:
    """One measurement."""

    kind: str
    num_snippets: int
    batch: int
    channels: int
    threads: int
    repeats: int
    device: str


@dataclass(frozen=True)
class Measure:
    """Best step, peak memory above the idle process with its weights, and logits before the first step."""

    taken: Seconds
    peak_mib: float
    logits: tuple[Tensor, ...]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("num_snippets", type=int, nargs="*", default=[100, 200, 256], metavar="D")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--channels", type=int, default=2304)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=6, help="steps; a third of them for the dense network")
    parser.add_argument("--device", default="cpu")
    options = vars(parser.parse_args())
    for size in options.pop("num_snippets"):
        compare(Case("sparse", size, **options))


def compare(case: Case) -> None:
    """Print the sparse step, the dense step and their ratio; logits that differ end the program."""
    sparse = timed(case)
    if case.batch > 1 and dense_mib(case) > available_mib() / 2:
        case = dataclasses.replace(case, batch=1)
        sparse = timed(case)
    dense = timed(dataclasses.replace(case, kind="dense", repeats=max(case.repeats // 3, 1)))
    pairs = zip(sparse.logits, dense.logits, strict=True)
    difference = max((mine - published).abs().max().item() for mine, published in pairs)
    if difference > TOLERANCE:
        raise SystemExit(f"D={case.num_snippets}: the networks' logits differ by {difference:.2g}")
    print(
        f"D={case.num_snippets} batch {case.batch} dense / sparse: "
        f"time {dense.taken.clock / sparse.taken.clock:.1f}, "
        f"processor time {dense.taken.processor / sparse.taken.processor:.1f}, "
        f"memory {dense.peak_mib / sparse.peak_mib:.1f}; logits differ by {difference:.1g}",
        flush=True,
    )


def timed(case: Case) -> Measure:
    """One measurement in a process of its own, printed."""
    found = measured_apart(measure, case)
    print(
        f"D={case.num_snippets} batch {case.batch} {case.kind}: {found.taken.clock:.2f} s, "
        f"{found.taken.processor:.2f} s of processor, peak {found.peak_mib:.0f} MiB",
        flush=True,
    )
    return found


def dense_mib(case: Case) -> float:
    """What a step of the dense network needs: the mask, and of each video samples, gradient and a copy."""
    config = BMNConfig(num_snippets=case.num_snippets)
    cells = config.num_samples * config.num_snippets**2
    return 4 * cells * (config.num_snippets + 3 * case.batch * config.hidden_dim_1d) / MEBIBYTE


def measure(case: Case) -> Measure:
    """Time and memory of training steps on one batch."""
    torch.set_num_threads(case.threads)
    # A small step first: what libraries load and set up on first use belongs to neither network.
    Training(dataclasses.replace(case, num_snippets=16, batch=2)).step()
    training = Training(case)
    memory = PeakMemory(case.device)
    held_mib = sum(table.nbytes for table in training.network.buffers()) / MEBIBYTE
    logits = training.logits()
    taken = best(training.step, case.repeats, case.device)
    return Measure(taken, memory.mib() + held_mib, logits)


class Training:
    """A network, an optimiser and one batch."""

    def __init__(self, case: Case) -> None:
        torch.manual_seed(0)
        self.config = BMNConfig(num_snippets=case.num_snippets)
        features = torch.randn(case.batch, case.channels, case.num_snippets)
        self.features = features.to(case.device)
        sparse = BMN(self.config, case.channels)
        self.network = (DenseBMN(sparse) if case.kind == "dense" else sparse).to(case.device)
        self.targets = labels(self.config, case)
        self.criterion = BMNCriterion(self.config)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=1e-3)

    def step(self) -> None:
        targets = self.targets
        losses = self.criterion(self.network(self.features), targets, self.criterion.counts(targets))
        self.optimiser.zero_grad()
        losses["total"].backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()

    def logits(self) -> tuple[Tensor, ...]:
        """Startness, endness and the map inside the videos, on the CPU."""
        with torch.no_grad():
            output: BMNOutput = self.network(self.features)
        maps = output.map_logits_BMDT * inside_map(self.targets["valid"])[:, None]
        return output.start_logits_BT.cpu(), output.end_logits_BT.cpu(), maps.cpu()


def labels(config: BMNConfig, case: Case) -> dict[str, Tensor]:
    """Stacked targets of the batch."""
    videos = [build_targets(np.array(TRUTHS[index % len(TRUTHS)]), config) for index in range(case.batch)]
    return {key: torch.stack([video[key] for video in videos]).to(case.device) for key in videos[0]}


if __name__ == "__main__":
    main()
