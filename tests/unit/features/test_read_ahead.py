"""Work ahead in a thread: order, errors, and an end however it is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from talaria.errors import DataError
from talaria.features.read_ahead import read_ahead


def no_thread_is_left() -> bool:
    return not any(thread.name == "read-ahead" for thread in threading.enumerate())


def test_results_keep_their_order_and_only_a_few_wait() -> None:
    made: list[int] = []

    def work() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    most_ahead = 0
    for number in read_ahead(work(), depth=2):  # type: ignore[arg-type]
        time.sleep(0.002)
        most_ahead = max(most_ahead, len(made) - number)
    assert made == list(range(50))
    assert most_ahead <= 5
    assert no_thread_is_left()


def test_an_error_comes_where_it_happened() -> None:
    def work() -> Iterator[int]:
        yield 1
        raise DataError("broken")

    ahead = read_ahead(work())  # type: ignore[arg-type]
    assert next(ahead) == 1
    with pytest.raises(DataError, match="broken"):
        next(ahead)
    assert no_thread_is_left()


def test_an_iterator_that_is_left_closes_what_it_reads() -> None:
    closed = threading.Event()

    def work() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    ahead = read_ahead(work())  # type: ignore[arg-type]
    assert next(ahead) == 1
    ahead.close()  # type: ignore[attr-defined]
    assert closed.is_set()
    assert no_thread_is_left()
