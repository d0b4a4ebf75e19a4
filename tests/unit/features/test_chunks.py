"""Chunks of frames and cut clips against indexing the whole video."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from talaria.config.specs import ClipSpec
from talaria.data.timebase import clip_frames_idx, num_snippets
from talaria.features.chunks import chunk_frames, frame_chunks
from talaria.features.sampling import WantedClip, cut_clips


def numbered_frames(count: int, spec: ClipSpec) -> np.ndarray:
    frames = np.zeros((count, spec.height, spec.width, 3), np.uint8)
    frames[:] = np.arange(count)[:, None, None, None]
    return frames


def blocks_of(frames: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    cuts = np.cumsum(sizes)
    return np.split(frames, [cut for cut in cuts if cut < len(frames)])


specs = st.builds(
    ClipSpec,
    fps=st.just(10.0),
    num_frames=st.integers(1, 9),
    stride_frames=st.integers(1, 12),
    height=st.just(2),
    width=st.just(3),
)


@settings(max_examples=150, deadline=None)
@given(specs, st.integers(1, 90), st.integers(1, 5), st.lists(st.integers(0, 17), max_size=9))
def test_chunks_hold_the_clips_of_the_whole_video(
    spec: ClipSpec, count: int, chunk_clips: int, sizes: list[int]
) -> None:
    frames = numbered_frames(count, spec)
    chunks = list(frame_chunks(blocks_of(frames, sizes), spec, chunk_clips))
    expected = clip_frames_idx(np.arange(num_snippets(count, spec)), spec, count)
    found = []
    for number, chunk in enumerate(chunks):
        assert chunk.chunk_idx == number
        assert chunk.frames.shape == (chunk_frames(spec, chunk_clips), 2, 3, 3)
        starts = np.arange(chunk.num_valid) * spec.stride_frames
        found += [chunk.frames[start : start + spec.num_frames, 0, 0, 0] for start in starts]
    assert np.array_equal(np.array(found), expected)
    assert all(chunk.num_valid == chunk_clips for chunk in chunks[:-1])


@settings(max_examples=100, deadline=None)
@given(
    specs,
    st.integers(1, 60),
    st.lists(st.integers(0, 11), max_size=9),
    st.lists(st.integers(-12, 75), min_size=1, max_size=6),
)
def test_cut_clips_repeat_the_edge_frame(
    spec: ClipSpec, count: int, sizes: list[int], begins: list[int]
) -> None:
    frames = numbered_frames(count, spec)
    clips, seen = cut_clips(blocks_of(frames, sizes), tuple(WantedClip(b, 0) for b in begins), spec)
    wanted = np.clip(np.array(begins)[:, None] + np.arange(spec.num_frames), 0, count - 1)
    assert seen == count
    assert np.array_equal(clips[:, :, 0, 0, 0], wanted)


def test_a_video_without_frames_has_no_chunk_and_no_clip() -> None:
    spec = ClipSpec(10.0, 4, 2, 2, 3)
    assert list(frame_chunks([], spec, 3)) == []
    clips, seen = cut_clips([], (WantedClip(0, 0),), spec)
    assert (len(clips), seen) == (0, 0)
