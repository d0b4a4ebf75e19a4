"""Which clips of a training video a backbone is fine-tuned on.

Clips are centred inside annotated segments, the rest of the video gives background clips (C+1 classes,
report of 2021, section 2.1). Draws depend on the seed and the video's id alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talaria.config.specs import ClipSpec
from talaria.records import Annotation


@dataclass(frozen=True)
class WantedClip:
    """A clip to cut out: its first frame on the resampled stream (may be negative) and its class index."""

    first_frame_idx: int
    label: int


def draw_clips(
    annotations: tuple[Annotation, ...],
    duration_s: float,
    classes: tuple[str, ...],
    spec: ClipSpec,
    clips_per_segment: int,
    background_clips: int,
    seed: int,
) -> tuple[WantedClip, ...]:
    """Clips of one video in the order of their first frame.

    Args:
        annotations: its true segments; each gives `clips_per_segment` clips centred inside it.
        duration_s: its length.
        classes: labels in class-index order; background gets the index after the last.
        background_clips: clips whose centre lies in no segment; none where segments cover the video.
        seed: from the recipe's seed and the video's id.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    index = {label: position for position, label in enumerate(classes)}
    wanted: list[WantedClip] = []
    for note in annotations:
        end_s = min(note.end_s, duration_s)
        for centre_s in _spread(rng, [(note.start_s, end_s)], clips_per_segment):
            wanted.append(WantedClip(_first_frame(centre_s, spec), index[note.label]))
    for centre_s in _spread(rng, background_gaps(annotations, duration_s), background_clips):
        wanted.append(WantedClip(_first_frame(centre_s, spec), len(classes)))
    return tuple(sorted(wanted, key=lambda clip: (clip.first_frame_idx, clip.label)))


def background_gaps(annotations: Iterable[Annotation], duration_s: float) -> list[tuple[float, float]]:
    """The parts of [0, duration_s] that no segment covers."""
    gaps: list[tuple[float, float]] = []
    covered_s = 0.0
    for note in sorted(annotations, key=lambda a: a.start_s):
        if note.start_s > covered_s:
            gaps.append((covered_s, min(note.start_s, duration_s)))
        covered_s = max(covered_s, note.end_s)
    if covered_s < duration_s:
        gaps.append((covered_s, duration_s))
    return [gap for gap in gaps if gap[1] > gap[0]]


def cut_clips(
    frame_blocks: Iterable[NDArray[np.uint8]], wanted: tuple[WantedClip, ...], spec: ClipSpec
) -> tuple[NDArray[np.uint8], int]:
    """Fill the wanted clips while frames stream by; frames outside the video repeat the edge frame.

    Returns:
        Clips (n, L, H, W, channels) and the number of frames that came. Without a frame there is no clip.
    """
    clips = np.zeros((len(wanted), spec.num_frames, spec.height, spec.width, spec.channels), np.uint8)
    begins = np.array([clip.first_frame_idx for clip in wanted], np.int64)
    frames_NL = begins[:, None] + np.arange(spec.num_frames)
    seen, last = 0, None
    for block in frame_blocks:
        if not len(block):
            continue
        lower = -np.inf if seen == 0 else seen
        here = (frames_NL >= lower) & (frames_NL < seen + len(block))
        clip, position = np.nonzero(here)
        clips[clip, position] = block[np.maximum(frames_NL[clip, position] - seen, 0)]
        seen, last = seen + len(block), block[-1]
    if last is None:
        return clips[:0], 0
    clips[frames_NL >= seen] = last
    return clips, seen


def _spread(rng: np.random.Generator, spans: list[tuple[float, float]], count: int) -> list[float]:
    """`count` times over the given spans: one uniform draw in each of `count` equal parts of their length."""
    lengths = np.array([end - start for start, end in spans])
    total = float(lengths.sum()) if len(spans) else 0.0
    if total <= 0 or count == 0:
        return []
    offsets = (np.arange(count) + rng.random(count)) / count * total
    ends = np.cumsum(lengths)
    which = np.minimum(np.searchsorted(ends, offsets, side="right"), len(spans) - 1)
    return [
        float(spans[k][0] + offset - (ends[k] - lengths[k])) for k, offset in zip(which, offsets, strict=True)
    ]


def _first_frame(centre_s: float, spec: ClipSpec) -> int:
    return round(centre_s * spec.fps) - spec.num_frames // 2
