"""The frames behind a fixed number of clips: what travels from a decoder to a backbone.

Overlapping clips share their frames, so a chunk carries each frame once; the backbone's actor cuts the clips.
The fixed size makes features the same bytes whatever was retried or batched (architecture, decision 14).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talaria.config.specs import ClipSpec
from talaria.data.timebase import clip_start_idx


@dataclass(frozen=True)
class FrameChunk:
    """Frames (F, H, W, channels) uint8 of `num_valid` clips of a video, padded to a full chunk's."""

    chunk_idx: int
    num_valid: int
    frames: NDArray[np.uint8]


def chunk_frames(spec: ClipSpec, chunk_clips: int) -> int:
    """F: frames from the first of a chunk's first clip to the last of its last one."""
    return (chunk_clips - 1) * spec.stride_frames + spec.num_frames


def frame_chunks(
    frame_blocks: Iterable[NDArray[np.uint8]], spec: ClipSpec, chunk_clips: int
) -> Generator[FrameChunk, None, None]:
    """Cut a stream of frames into chunks, each an array of its own; memory does not grow with the length.

    Args:
        frame_blocks: consecutive frames (n, H, W, channels) of the resampled stream, or their flow.
        spec: clip length and stride; snippet i's clip starts at i * stride + stride // 2 - L // 2, and frames
            outside the video repeat the edge frame.
        chunk_clips: clips of a chunk.

    Yields:
        Chunks in order; all but the last are full. Nothing for a stream without frames.
    """
    span, step = chunk_frames(spec, chunk_clips), chunk_clips * spec.stride_frames
    first = clip_start_idx(0, spec)
    skipped = max(0, first)  # frames between two chunks that no clip needs
    seen = filled = chunk = 0
    frames = last = np.zeros((0, spec.height, spec.width, spec.channels), np.uint8)
    for block in frame_blocks:
        if not len(block):
            continue
        if seen == 0:
            frames, filled = np.empty((span, *block.shape[1:]), np.uint8), max(0, -first)
            frames[:filled] = block[0]
        seen, last = seen + len(block), block[-1]
        while len(block):
            used = min(skipped, len(block)) or min(span - filled, len(block))
            if skipped:
                skipped -= used
            else:
                frames[filled : filled + used] = block[:used]
                filled += used
            block = block[used:]
            if filled == span:
                yield FrameChunk(chunk, chunk_clips, frames)
                frames, filled, skipped, chunk = *_begun(frames, step), max(0, step - span), chunk + 1
    left = -(-seen // spec.stride_frames) - chunk * chunk_clips
    while left > 0:
        frames[filled:] = last
        yield FrameChunk(chunk, min(left, chunk_clips), frames)
        frames, filled = _begun(frames, step)
        chunk, left = chunk + 1, left - chunk_clips


def _begun(frames: NDArray[np.uint8], step: int) -> tuple[NDArray[np.uint8], int]:
    """The next chunk's frames, as far as this one has them, and how many these are."""
    begun, shared = np.empty_like(frames), frames[step:]
    begun[: len(shared)] = shared
    return begun, len(shared)
