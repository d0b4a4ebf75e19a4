"""The parent's side of a decoder child: started when needed, kept for the next video, killed if it hangs."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import fcntl
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

from talaria.data.decoding_messages import HEADER, READY, VideoRequest
from talaria.errors import DataError, StageError

_START_LIMIT_S = 60.0
_PIPE_BYTES = 2**20
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class DecodingTimeoutError(Exception):
    """The child gave no answer within the time it had left."""


class DecoderProcess:
    """One child that works on one request at a time."""

    def __init__(self) -> None:
        """Start the child and wait until it is ready.

        Raises:
            StageError: if it does not start.
        """
        command = [sys.executable, "-P", "-m", "talaria.data.decoding_child", str(os.getpid())]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_child_environment(), bufsize=0
        )
        self._widen()
        try:
            kind, _ = self.read_header(_START_LIMIT_S)
        except (DataError, DecodingTimeoutError):
            self.kill()
            raise StageError(
                f"the decoder process did not start ({self.ending()}); expected `{' '.join(command)}` to run"
            ) from None
        assert kind == READY

    def _widen(self) -> None:
        """Let the child get further ahead than Linux's 64 KiB; elsewhere pipes stay as they are."""
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            assert self._child.stdout is not None
            with contextlib.suppress(OSError):  # the system's limit for all pipes of a user is reached
                fcntl.fcntl(self._child.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def request(self, request: VideoRequest) -> None:
        """Hand over the next request."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # reading the answer will say how the child ended
            self._child.stdin.write(json.dumps(dataclasses.asdict(request)).encode() + b"\n")

    def read_header(self, limit_s: float) -> tuple[bytes, int]:
        """Kind and size of the next message; see `read_into`."""
        header = bytearray(HEADER.size)
        self.read_into(memoryview(header), limit_s)
        kind, size = HEADER.unpack(header)
        return kind, size

    def read_into(self, target: memoryview, limit_s: float) -> None:
        """Fill `target` from the child's answers.

        Raises:
            DecodingTimeoutError: if that takes longer than limit_s.
            DataError: if the child has ended.
        """
        assert self._child.stdout is not None
        answers = self._child.stdout.fileno()
        waiting = select.poll()
        waiting.register(answers, select.POLLIN)
        end_s = time.monotonic() + limit_s
        filled = 0
        while filled < len(target):
            if not waiting.poll(max(0.0, end_s - time.monotonic()) * 1000):
                raise DecodingTimeoutError
            num_read = os.readv(answers, [target[filled:]])
            if num_read == 0:
                raise DataError(f"the decoder process ended ({self.ending()})")
            filled += num_read

    def is_alive(self) -> bool:
        """Whether the child still runs."""
        return self._child.poll() is None

    def ending(self) -> str:
        """How the child ended, waiting a moment for it."""
        try:
            status = self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        return f"signal {-status}" if status < 0 else f"exit status {status}"

    def kill(self) -> None:
        """End the child at once and free what it held."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()


class _Idle:
    """Children without work, kept for the next videos: as many as were ever at work at a time."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start empty: after a fork the children still belong to the parent."""
        self._lock = threading.Lock()
        self._children: list[DecoderProcess] = []

    def borrow(self) -> DecoderProcess:
        """A child of its own for the caller."""
        with self._lock:
            while self._children:
                child = self._children.pop()
                if child.is_alive():
                    return child
                child.kill()
        return DecoderProcess()

    def give_back(self, child: DecoderProcess) -> None:
        """Keep a child that has finished its request."""
        with self._lock:
            self._children.append(child)

    def end(self) -> None:
        """End all idle children."""
        with self._lock:
            while self._children:
                self._children.pop().kill()


def _child_environment() -> dict[str, str]:
    """Ours, with this package importable and one thread, since a worker counts on one core per video."""
    paths = [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}


IDLE = _Idle()
atexit.register(IDLE.end)
os.register_at_fork(after_in_child=IDLE.forget)
