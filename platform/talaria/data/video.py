"""Frames of a video file at a constant rate, by PyAV, in the calling process.

Codecs can hang or crash on damaged files, so only `decoding_child` imports this; all others go through
`talaria.data.decoding`. FFmpeg's logging is never touched and frame threads stay off: together they hang some
damaged files for ever.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from talaria.data.decoding_messages import DecodedSummary, VideoProbe, VideoRequest
from talaria.data.frame_clock import FrameClock, resampled
from talaria.errors import DataError

Pixels = NDArray[np.uint8]

_BLOCK_BYTES = 2**21
_FASTEST_PLAUSIBLE_FPS = 240.0
_NOMINAL_FPS = 25.0
"""FFmpeg's own guess; matters only until a second frame has a time stamp, in files that tell no rate."""
_PROBED_FRAMES = 16
_SHORTFALL_S = 1.0
_SHORTFALL_FRAC = 0.05


def probe_video(path: str) -> VideoProbe:
    """What the header says, checked against the first frames.

    Raises:
        DataError: if the file does not open, holds no video stream, or its first frame does not decode.
    """
    with _opened(path) as reading:
        timed = reading.timed_frames()
        _, first = next(timed, (0.0, None))
        if first is None:
            raise DataError(f"{path}: {reading.reason()}")
        rotation_deg = round(first.rotation) % 360
        width, height = first.width, first.height
        if rotation_deg % 180:
            width, height = height, width
        fps = reading.header_fps
        if fps is None:
            num_more = sum(1 for _ in itertools.islice(timed, _PROBED_FRAMES - 1))
            fps = 1 / reading.clock.gap_s if num_more else None
        return VideoProbe(reading.declared_s, fps, width, height, reading.codec, rotation_deg)


def decode_video(request: VideoRequest, fps: float) -> Iterator[Pixels | DecodedSummary]:
    """The file's frames at `fps`, then how it ended.

    Yields:
        (n, height, width, 3) RGB blocks, n >= 1; each is overwritten by the next. The summary comes last.

    Raises:
        DataError: if the file does not open, holds no video stream, or no frame decodes.
    """
    picture = _Picture(request.height, request.width)
    block_frames = max(1, _BLOCK_BYTES // (request.height * request.width * 3))
    block = np.empty((block_frames, request.height, request.width, 3), dtype=np.uint8)
    num_frames = 0
    with _opened(request.path) as reading:
        for pixels in resampled(reading.timed_frames(), reading.clock, fps, picture):
            block[num_frames % block_frames] = pixels
            num_frames += 1
            if num_frames % block_frames == 0:
                yield block
        if num_frames == 0:
            raise DataError(f"{request.path}: {reading.reason()}")
        if num_frames % block_frames:
            yield block[: num_frames % block_frames]
        yield reading.summary(num_frames)


@contextmanager
def _opened(path: str) -> Iterator[_Reading]:
    try:
        container = av.open(path, metadata_errors="replace", options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be opened as a video ({_reason(error)})") from None
    with container:
        yield _Reading(path, container)


class _Picture:
    """Turns a decoded frame into (height, width, 3) RGB, upright; one scaler serves the whole video."""

    def __init__(self, height: int, width: int) -> None:
        self._height = height
        self._width = width
        self._scaler = VideoReformatter()

    def __call__(self, frame: Any) -> Pixels:
        quarter_turns = round(frame.rotation / 90) % 4
        height, width = self._height, self._width
        if quarter_turns % 2:
            height, width = width, height
        scaled = self._scaler.reformat(frame, width=width, height=height, format="rgb24").to_ndarray()
        return np.rot90(scaled, quarter_turns)


class _Reading:
    """One pass over the best video stream of an open file; remembers what went wrong on the way."""

    def __init__(self, path: str, container: Any) -> None:
        stream = _best_stream(path, container)
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        self._container = container
        self._stream = stream
        self._num_decoded = 0
        self._num_damaged = 0
        self._damage = ""
        self._read_error = ""
        # AVI stores the order of decoding only; what FFmpeg makes of it as presentation times runs backwards.
        self._stamps_are_dts = container.format.name == "avi"
        self.codec: str = stream.codec_context.name
        self.header_fps = _plausible_fps(stream.average_rate)
        self.clock = FrameClock(float(stream.time_base), 1 / (self.header_fps or _NOMINAL_FPS))

    @property
    def declared_s(self) -> float | None:
        """Length by the stream's header, else by the container's, which may count longer sound."""
        if self._stream.duration:
            return float(self._stream.duration * self._stream.time_base)
        return self._container.duration / av.time_base if self._container.duration else None

    def timed_frames(self) -> Iterator[tuple[float, Any]]:
        """Every frame that decodes, with its seconds after the first one; damage is counted and skipped."""
        for packet in self._packets():
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                self._num_damaged += 1
                self._damage = self._damage or _reason(error)
                continue
            for frame in frames:
                self._num_decoded += 1
                stamp = frame.dts if self._stamps_are_dts or frame.pts is None else frame.pts
                yield self.clock.time_s(stamp), frame

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as error:
            self._read_error = _reason(error)

    def reason(self) -> str:
        """Why no frame came out, as the end of a sentence."""
        cause = self._damage or self._read_error or "it is empty"
        return f"no frame of its {self.codec} stream decodes ({cause})"

    def summary(self, num_frames: int) -> DecodedSummary:
        """How the pass ended, after its last frame."""
        found = [
            f"{self._num_damaged} damaged packets ({self._damage})" if self._num_damaged else "",
            f"reading stopped ({self._read_error})" if self._read_error else "",
            f"the time stamps jump {self.clock.num_jumps} times" if self.clock.num_jumps else "",
            self._shortfall(),
        ]
        return DecodedSummary(
            num_frames,
            self._num_decoded,
            self.clock.end_s,
            self.declared_s,
            "; ".join(filter(None, found)) or None,
        )

    def _shortfall(self) -> str:
        if self.declared_s is None:
            return ""
        allowed_s = max(_SHORTFALL_S, _SHORTFALL_FRAC * self.declared_s)
        if self.clock.end_s >= self.declared_s - allowed_s:
            return ""
        return f"only {self.clock.end_s:.2f} s of the declared {self.declared_s:.2f} s decode"


def _best_stream(path: str, container: Any) -> Any:
    """FFmpeg's choice among the video streams that are no cover picture."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    if best not in streams:
        best = streams[0] if streams else None
    if best is None:
        raise DataError(f"{path}: holds no video stream")
    if best.codec_context is None:
        raise DataError(f"{path}: this FFmpeg has no decoder for its video stream")
    return best


def _plausible_fps(rate: Any) -> float | None:
    """A header's rate, or None where it is absent or the mere tick of the clock (1000 in FLV)."""
    return float(rate) if rate and 0 < rate <= _FASTEST_PLAUSIBLE_FPS else None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
