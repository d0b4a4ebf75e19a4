"""Clips of a video cut while its frames arrive, so that memory does not grow with the video.

Letters: n frames or clips at hand, L frames of a clip, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from talaria.config.specs import ClipSpec
from talaria.data.timebase import clip_frames_idx, clip_start_idx, num_snippets
from talaria.errors import DataError

Pixels = NDArray[np.uint8]


def clip_windows(
    frame_blocks: Iterable[Pixels], spec: ClipSpec, *, chunk_clips: int
) -> Iterator[tuple[int, Pixels]]:
    """The clip of every snippet, in order and in chunks.

    Places of a clip outside the video repeat the edge frame. A chunk is a fresh array.

    Args:
        frame_blocks: (n, H, W, 3) uint8 blocks of the resampled stream, of any lengths.
        spec: how clips are cut.
        chunk_clips: clips per chunk, at least 1; the last chunk may be shorter.

    Yields:
        Index of the chunk's first snippet, and its clips (n, L, H, W, 3) with 1 <= n <= chunk_clips.

    Raises:
        DataError: if there is no frame at all.
        ValueError: if chunk_clips is below 1.
    """
    if chunk_clips < 1:
        raise ValueError(f"chunk_clips: expected at least 1, got {chunk_clips}")
    window = _Window(spec)
    chunk: list[Pixels] = []
    next_idx = 0
    for block in frame_blocks:
        window.append(block)
        while window.completes(next_idx):
            chunk.append(window.cut(next_idx))
            next_idx += 1
            window.forget_before(next_idx)
            if len(chunk) == chunk_clips:
                yield next_idx - chunk_clips, np.stack(chunk)
                chunk = []
    if window.num_seen == 0:
        raise DataError("the video gave no frame, so no clip can be cut from it")
    chunk += [window.cut(idx) for idx in range(next_idx, num_snippets(window.num_seen, spec))]
    first_idx = num_snippets(window.num_seen, spec) - len(chunk)
    for start in range(0, len(chunk), chunk_clips):
        yield first_idx + start, np.stack(chunk[start : start + chunk_clips])


class _Window:
    """The frames that clips still to come may need, and how many were seen so far."""

    def __init__(self, spec: ClipSpec) -> None:
        self._spec = spec
        self._frames: Pixels = np.empty((0, spec.height, spec.width, 3), dtype=np.uint8)
        self._start_idx = 0
        self.num_seen = 0

    def append(self, block: Pixels) -> None:
        """Take the stream's next frames."""
        self.num_seen += len(block)
        self._frames = np.concatenate([self._frames, block])

    def completes(self, snippet_idx: int) -> bool:
        """Whether the snippet surely exists and its clip is whole, whatever comes after."""
        last_idx = clip_start_idx(snippet_idx, self._spec) + self._spec.num_frames - 1
        return max(last_idx, snippet_idx * self._spec.stride_frames) < self.num_seen

    def cut(self, snippet_idx: int) -> Pixels:
        """The clip (L, H, W, 3) of one snippet, as if the stream ended here."""
        frames_NL = clip_frames_idx([snippet_idx], self._spec, self.num_seen)
        clip: Pixels = self._frames[frames_NL[0] - self._start_idx]
        return clip

    def forget_before(self, snippet_idx: int) -> None:
        """Let go of the frames before a snippet's clip, but for the newest: it may be the edge frame."""
        clip_idx = max(0, clip_start_idx(snippet_idx, self._spec))
        start_idx = min(clip_idx, self.num_seen - 1)
        self._frames = self._frames[start_idx - self._start_idx :]
        self._start_idx = start_idx
