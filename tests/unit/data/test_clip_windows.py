"""Clips cut from a stream are those cut from the whole video."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talaria.config.specs import ClipSpec
from talaria.data.clips import clip_windows
from talaria.errors import DataError


def numbered(num_frames: int) -> np.ndarray:
    """Frames that tell their own number."""
    numbers = np.arange(num_frames)
    low = np.stack([numbers % 256, numbers // 256, 0 * numbers], axis=1).astype(np.uint8)
    return np.broadcast_to(low[:, None, None, :], (num_frames, 2, 3, 3))


def cut_whole(frames: np.ndarray, length: int, stride: int) -> np.ndarray:
    clips = []
    for snippet in range((len(frames) + stride - 1) // stride):
        start = snippet * stride + stride // 2 - length // 2
        clips.append([frames[min(max(start + k, 0), len(frames) - 1)] for k in range(length)])
    return np.array(clips)


@given(
    num_frames=st.integers(1, 120),
    length=st.integers(1, 24),
    stride=st.integers(1, 30),
    chunk=st.integers(1, 7),
    block=st.integers(1, 50),
)
def test_equals_indexing_the_whole_video(
    num_frames: int, length: int, stride: int, chunk: int, block: int
) -> None:
    frames = numbered(num_frames)
    spec = ClipSpec(10.0, length, stride, 2, 3)
    blocks = (frames[i : i + block] for i in range(0, num_frames, block))
    chunks = list(clip_windows(blocks, spec, chunk_clips=chunk))
    assert [first for first, _ in chunks] == list(range(0, sum(len(c) for _, c in chunks), chunk))
    assert all(len(clips) == chunk for _, clips in chunks[:-1])
    np.testing.assert_array_equal(
        np.concatenate([clips for _, clips in chunks]), cut_whole(frames, length, stride)
    )


def test_clips_come_while_the_video_still_runs() -> None:
    given_out = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal given_out
        for start in range(0, 10_000, 20):
            given_out = start + 20
            yield numbered(10_000)[start : start + 20]

    for first, clips in clip_windows(blocks(), ClipSpec(10.0, 16, 8, 2, 3), chunk_clips=4):
        assert given_out <= (first + len(clips)) * 8 + 16 + 20


def test_a_kept_chunk_is_not_overwritten() -> None:
    frames = numbered(64)
    chunks = clip_windows(
        (frames[i : i + 4] for i in range(0, 64, 4)), ClipSpec(10.0, 4, 4, 2, 3), chunk_clips=2
    )
    _, first = next(chunks)
    copy = first.copy()
    list(chunks)
    np.testing.assert_array_equal(first, copy)


def test_no_frame_is_an_error() -> None:
    with pytest.raises(DataError, match="no frame"):
        list(clip_windows([], ClipSpec(10.0, 4, 4, 2, 3), chunk_clips=2))
