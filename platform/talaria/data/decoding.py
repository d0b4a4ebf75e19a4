"""Reading video files: every file ends in frames or in one clear sentence, whatever it holds.

The work is done by a child process with a hard time limit, since a damaged file can hang or crash a codec.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from talaria.config.specs import ClipSpec
from talaria.data.decoder_process import IDLE, DecoderProcess, DecodingTimeoutError
from talaria.data.decoding_messages import (
    ERROR,
    FRAMES,
    PROBE,
    SUMMARY,
    DecodedSummary,
    VideoProbe,
    VideoRequest,
)
from talaria.errors import DataError

_PROBE_LIMIT_S = 60.0


def probe(path: str | Path, *, time_limit_s: float = _PROBE_LIMIT_S) -> VideoProbe:
    """What a video file says about itself, checked against its first frames.

    Raises:
        DataError: if the file is absent, is no video, or takes longer than the limit.
    """
    with _Conversation(VideoRequest(_checked(path)), time_limit_s) as conversation:
        kind, payload = conversation.message()
        assert kind == PROBE
        return VideoProbe(**json.loads(payload))


def decode_frames(
    path: str | Path, spec: ClipSpec, *, time_limit_s: float, summary: DecodedSummary | None = None
) -> Iterator[NDArray[np.uint8]]:
    """The frames of a video at `spec.fps`, each frame resized whole to `spec.height` x `spec.width`.

    Frame k is what is on screen k / fps seconds after the first frame, upright, in RGB. A file with a broken
    part gives what decodes, and `summary` says what was wrong. An iterator that is left half read ends its
    decoder when it is closed or collected.

    Args:
        path: video file of any container and codec that FFmpeg knows.
        spec: rate and size.
        time_limit_s: seconds that may be spent on waiting for frames, beyond the length of those that came;
            what the caller does between two blocks does not count.
        summary: filled while frames come.

    Yields:
        (n, H, W, 3) uint8 blocks with n >= 1; at least one.

    Raises:
        DataError: if the file is absent, nothing in it decodes, its decoder crashes, or the limit is passed.
    """
    summary = DecodedSummary() if summary is None else summary
    request = VideoRequest(_checked(path), spec.fps, spec.height, spec.width)
    with _Conversation(request, time_limit_s) as conversation:
        kind, payload = conversation.message()
        while kind == FRAMES:
            block = np.frombuffer(payload, dtype=np.uint8).reshape(-1, spec.height, spec.width, 3)
            summary.num_frames += len(block)
            summary.duration_s = summary.num_frames / spec.fps
            conversation.allow(len(block) / spec.fps)
            yield block
            kind, payload = conversation.message()
        assert kind == SUMMARY
        for name, value in json.loads(payload).items():
            setattr(summary, name, value)


class _Conversation:
    """One request to a child and its answers; the child is kept for others only if it said its last word."""

    def __init__(self, request: VideoRequest, limit_s: float) -> None:
        self._path = request.path
        self._limit_s = limit_s
        self._left_s = limit_s
        self._complete = False
        self._child: DecoderProcess = IDLE.borrow()
        self._request = request

    def __enter__(self) -> _Conversation:
        self._child.request(self._request)
        return self

    def message(self) -> tuple[bytes, bytearray]:
        """The next answer.

        Raises:
            DataError: if the file is at fault, the child died on it, or the limit is passed.
        """
        start_s = time.monotonic()
        try:
            kind, size = self._child.read_header(self._left_s)
            payload = bytearray(size)
            self._child.read_into(memoryview(payload), self._left_s - (time.monotonic() - start_s))
            self._left_s -= time.monotonic() - start_s
            if self._left_s < 0:  # the answer was there by the time it was asked for
                raise DecodingTimeoutError
        except DecodingTimeoutError:
            raise DataError(
                f"{self._path}: decoding took {self._limit_s:g} s longer than it shows (data.decode_limit_s)"
            ) from None
        except DataError as error:
            raise DataError(f"{self._path}: {error}") from None
        self._complete = kind != FRAMES
        if kind == ERROR:
            raise DataError(payload.decode(errors="surrogateescape"))
        return kind, payload

    def allow(self, seconds: float) -> None:
        """Wait so much longer for the rest: long videos may take long."""
        self._left_s += seconds

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._complete:
            IDLE.give_back(self._child)
        else:
            self._child.kill()


def _checked(path: str | Path) -> str:
    if not os.path.isfile(path):
        raise DataError(f"{path}: is no file; expected a video")
    return os.path.abspath(path)
