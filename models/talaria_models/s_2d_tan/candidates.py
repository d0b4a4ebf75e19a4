"""Which segments are candidates, and where they stand on the maps of the convolutions.

2019 winners' report, sections 1.1 and 1.2: short segments densely, medium ones with stride 2, long ones with
stride 4, each kind on a compact map of its own. Layers of max pooling over two neighbours lengthen the
segments of a kind by one stride each; a layer over three with stride two leads from one kind to the next, as
in 2D-TAN (Zhang et al. 2020, arXiv 1912.03590, section 3.2).

Letters: Q candidates, S rows and columns of a compact map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Kind:
    """Candidates of one stride: short, medium or long ones.

    Attributes:
        stride: snippets between starts, and between lengths.
        shortest: snippets of the shortest.
        size: S, how many of the shortest there are; on the compact map the candidate of the row-th start and
            the j-th length stands in column row + j, so that a row is a start and a column an end.
        num_lengths: how many lengths, one layer of pooling each.
    """

    stride: int
    shortest: int
    size: int
    num_lengths: int


@dataclass(frozen=True, eq=False)
class CandidateLayout:
    """All candidates of a grid, ordered by kind, then length, then start.

    Attributes:
        num_snippets: N.
        kinds: by growing length.
        start_Q, end_Q: the segment [start, end) in snippets.
        kind_Q: number of the kind.
        cell_Q: row * S + column on the compact map of the kind.
    """

    num_snippets: int
    kinds: tuple[Kind, ...]
    start_Q: Integers
    end_Q: Integers
    kind_Q: Integers
    cell_Q: Integers

    def __len__(self) -> int:
        return len(self.start_Q)

    @property
    def segments_Q2(self) -> NDArray[np.float64]:  # noqa: N802
        """(Q, 2) fractions of the grid."""
        return np.stack([self.start_Q, self.end_Q], axis=1) / self.num_snippets

    def maps(self, rearranged: bool) -> list[tuple[int, Integers]]:
        """Side of each map that is convolved, and the cells of its candidates, all together in their order.

        Args:
            rearranged: a compact map for every kind (S-2D-TAN), or one for all, with gaps (2D-TAN).
        """
        if not rearranged:
            return [(self.num_snippets, self.start_Q * self.num_snippets + self.end_Q - 1)]
        return [(kind.size, self.cell_Q[self.kind_Q == index]) for index, kind in enumerate(self.kinds)]


def kinds_of(num_snippets: int, num_lengths: Sequence[int]) -> tuple[Kind, ...]:
    """The kinds of candidates of a grid.

    Args:
        num_snippets: N.
        num_lengths: lengths of each kind; S-2D-TAN has N / 4, N / 8, N / 8.

    Raises:
        ValueError: so many lengths do not fit the grid.
    """
    kinds: list[Kind] = []
    stride, length, size = 1, 1, num_snippets
    for index, count in enumerate(num_lengths):
        if index:
            last = kinds[-1]
            starts = last.size - last.num_lengths + 1
            length = last.shortest + (last.num_lengths - 1) * stride + 2 * stride
            stride, size = 2 * stride, (starts - 3) // 2 + 1
        if not 1 <= count <= size:
            raise ValueError(f"num_lengths: found {count} for kind {index}, expected 1 to {size}")
        kinds.append(Kind(stride, length, size, count))
    return tuple(kinds)


@lru_cache(maxsize=8)
def layout(num_snippets: int, num_lengths: tuple[int, ...] | None = None) -> CandidateLayout:
    """The candidates of a grid; those of S-2D-TAN (section 1.2) unless the lengths of each kind are given."""
    wanted = num_lengths or (num_snippets // 4, num_snippets // 8, num_snippets // 8)
    kinds = kinds_of(num_snippets, wanted)
    rows = [
        (kind.stride * row, kind.stride * (row + step) + kind.shortest, index, row * kind.size + row + step)
        for index, kind in enumerate(kinds)
        for step in range(kind.num_lengths)
        for row in range(kind.size - step)
    ]
    start_Q, end_Q, kind_Q, cell_Q = np.array(rows, np.int64).T
    return CandidateLayout(num_snippets, kinds, start_Q, end_Q, kind_Q, cell_Q)
