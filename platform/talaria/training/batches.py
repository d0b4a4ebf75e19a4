"""Which samples make up which step, so that one worker or many take the same steps.

A global batch is cut into micro-batches of a fixed size; micro-batch j of a step belongs to worker j modulo
the number of workers. The order of an epoch depends on the seed and the epoch alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talaria.seeds import content_seed


@dataclass(frozen=True)
class MicroBatch:
    """Samples of one forward pass; `position` counts micro-batches within the step over all workers."""

    step: int
    position: int
    samples: tuple[int, ...]


@dataclass(frozen=True)
class BatchPlan:
    """The steps of a training over `num_samples` samples."""

    num_samples: int
    batch_size: int
    micro_batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch; the last batch may be smaller."""
        return -(-self.num_samples // self.batch_size)

    def epoch(self, epoch: int, rank: int = 0, world_size: int = 1) -> list[list[MicroBatch]]:
        """For each step of an epoch the micro-batches of one worker; none where a small batch has too few."""
        rng = np.random.Generator(np.random.PCG64(content_seed(self.seed, "epoch", epoch)))
        order = rng.permutation(self.num_samples)
        steps: list[list[MicroBatch]] = []
        for index, begin in enumerate(range(0, self.num_samples, self.batch_size)):
            batch = order[begin : begin + self.batch_size]
            cuts = [batch[i : i + self.micro_batch_size] for i in range(0, len(batch), self.micro_batch_size)]
            step = epoch * self.steps_per_epoch + index
            mine = [
                MicroBatch(step, position, tuple(int(sample) for sample in cut))
                for position, cut in enumerate(cuts)
                if position % world_size == rank
            ]
            steps.append(mine)
        return steps
