"""How long to wait for a tracking server that does not answer, and when to try it again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Waiting times, in seconds.

    Attributes:
        first_s: before the second attempt; doubled before each further one.
        total_s: no attempt of a call begins later than this after its first one.
        rest_s: after that the server is left alone so long, and calls return at once.
    """

    first_s: float = 0.5
    total_s: float = 8.0
    rest_s: float = 60.0

    def delay_s(self, failures: int, elapsed_s: float) -> float | None:
        """How long to wait for the next attempt; None to give up.

        Args:
            failures: attempts that failed, at least 1.
            elapsed_s: since the first attempt began.
        """
        delay_s: float = self.first_s * 2 ** (failures - 1)
        return delay_s if elapsed_s + delay_s <= self.total_s else None


class Rest:
    """Whether a server is being left alone at the moment."""

    def __init__(self, patience: Patience, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._until_s = float("-inf")
        self.warned = False

    @property
    def resting(self) -> bool:
        """True until `rest_s` after the last failure."""
        return self._clock() < self._until_s

    def begin(self) -> bool:
        """The server did not answer; returns whether this is news that a person should hear."""
        self._until_s = self._clock() + self._patience.rest_s
        news, self.warned = not self.warned, True
        return news

    def end(self) -> bool:
        """The server answered; returns whether it was away before."""
        back, self.warned = self.warned, False
        self._until_s = float("-inf")
        return back
