"""What Optuna's journal file lacks to survive a `kill -9` at any instant."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class FileLock:
    """A lock that ends with the process that holds it; Optuna's own outlives a killed one by 30 s.

    Has the two methods that `optuna.storages.journal.JournalFileBackend` asks of its `lock_obj`.
    """

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(f"{journal.name}.lock")
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Let the next one in."""
        assert self._handle is not None, "release without acquire"
        os.close(self._handle)
        self._handle = None


def drop_partial_line(journal: Path) -> None:
    """Cut off a last line that a killed writer did not finish.

    Optuna reads past it, but the next line would be joined to it, and the journal be unreadable from then on.
    """
    if not journal.is_file():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(journal, whole)
