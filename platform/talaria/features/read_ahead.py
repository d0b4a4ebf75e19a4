"""An iterator that works in a thread while its results are used."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")
_CHECK_S = 0.5
_END = object()


def read_ahead(items: Generator[Item, None, None], depth: int = 1) -> Iterator[Item]:
    """`items`, made in a thread of their own, in the same order.

    Args:
        items: closed in that thread when this iterator ends, early or not.
        depth: results that may wait; the thread holds one more, the caller another.

    Raises:
        Exception: whatever `items` raise, at the place where they raise it.
    """
    waiting: queue.Queue[object] = queue.Queue(depth)
    left = threading.Event()

    def put(result: object) -> bool:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(result, timeout=_CHECK_S)
                return True
        return False

    def work() -> None:
        with contextlib.closing(items):
            try:
                for item in items:
                    if not put(item):
                        return
                put(_END)
            except BaseException as error:  # it belongs to the caller
                put(_Raised(error))

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (result := waiting.get()) is not _END:
            if isinstance(result, _Raised):
                raise result.error
            yield result  # type: ignore[misc]
    finally:
        left.set()
        thread.join()


class _Raised:
    """What ended the thread."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
