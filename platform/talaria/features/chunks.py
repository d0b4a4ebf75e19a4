"""The frames behind a fixed number of clips: what travels from a decoder to a backbone.

Overlapping clips share their frames, so a chunk carries each frame once; the backbone's actor cuts the clips.
The fixed size makes features the same bytes whatever was retried or batched (architecture, decision 14).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talaria.config.specs import ClipSpec
from talaria.data.timebase import clip_start_idx


@dataclass(frozen=True)
class FrameChunk:
    """Frames (F, H, W, 3) uint8 of `num_valid` clips of a video, padded to the frames of a full chunk."""

    chunk_idx: int
    num_valid: int
    frames: NDArray[np.uint8]


def chunk_frames(spec: ClipSpec, chunk_clips: int) -> int:
    """F: frames from the first of a chunk's first clip to the last of its last one."""
    return (chunk_clips - 1) * spec.stride_frames + spec.num_frames


def frame_chunks(
    frame_blocks: Iterable[NDArray[np.uint8]], spec: ClipSpec, chunk_clips: int
) -> Iterator[FrameChunk]:
    """Cut a stream of frames into chunks; memory does not grow with the video's length.

    Args:
        frame_blocks: consecutive frames (n, H, W, 3) of the resampled stream.
        spec: clip length and stride; snippet i's clip starts at i * stride + stride // 2 - L // 2, and frames
            outside the video repeat the edge frame.
        chunk_clips: clips of a chunk.

    Yields:
        Chunks in order; all but the last are full. Nothing for a stream without frames.
    """
    span, step = chunk_frames(spec, chunk_clips), chunk_clips * spec.stride_frames
    buffer = np.zeros((0, spec.height, spec.width, 3), np.uint8)
    base = clip_start_idx(0, spec)
    seen = chunk = 0
    last = buffer
    for block in frame_blocks:
        if not len(block):
            continue
        last = block[-1:]
        if seen == 0:
            buffer = np.repeat(block[:1], max(0, -base), axis=0)
        skipped = max(0, base + len(buffer) - seen)
        buffer = np.concatenate([buffer, block[skipped:]])
        seen += len(block)
        while len(buffer) >= span:
            yield FrameChunk(chunk, chunk_clips, buffer[:span].copy())
            buffer, base, chunk = buffer[step:], base + step, chunk + 1
    left = -(-seen // spec.stride_frames) - chunk * chunk_clips
    while left > 0:
        tail = buffer if len(buffer) else last
        padded = np.concatenate([tail[:span], np.repeat(tail[-1:], max(0, span - len(tail)), axis=0)])
        yield FrameChunk(chunk, min(left, chunk_clips), padded)
        buffer, chunk, left = buffer[step:], chunk + 1, left - chunk_clips
