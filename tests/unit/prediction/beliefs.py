"""Made-up videos, and raw predictions of members whose quality is known."""

from __future__ import annotations

import numpy as np

from talaria.evaluation.arrays import FloatArray, GroundTruth
from talaria.evaluation.tiou import tiou
from talaria.prediction.raw import RawPrediction, inside
from talaria.records import Annotation, Video
from talaria.seeds import content_seed

CLASSES = ("dive", "jump", "run")
DURATION_S = 60.0


def rng_of(*parts: object) -> np.random.Generator:
    """Random numbers that depend on the words given alone."""
    return np.random.Generator(np.random.PCG64(content_seed(*parts)))


def made_videos(count: int, seed: str = "videos") -> tuple[Video, ...]:
    """Videos of one minute, each of one class with one to three segments of 5 to 16 s."""
    videos = []
    for index in range(count):
        rng = rng_of(seed, index)
        label = CLASSES[index % len(CLASSES)]
        segments = [(20.0 * slot + rng.uniform(0, 3), rng.uniform(5, 16)) for slot in range(1 + index % 3)]
        notes = tuple(Annotation(start, min(start + length, DURATION_S), label) for start, length in segments)
        videos.append(Video(f"{seed}-{index:02d}", None, "validation", DURATION_S, notes))
    return tuple(videos)


def made_truth(videos: tuple[Video, ...]) -> GroundTruth:
    """Their annotations as arrays."""
    return GroundTruth.of_videos(videos, CLASSES)


def segments_frac(video: Video) -> FloatArray:
    """(G, 2) true segments as fractions."""
    return np.array([(note.start_s, note.end_s) for note in video.annotations]).reshape(-1, 2) / DURATION_S


def grid_segments(size: int) -> FloatArray:
    """(cells, 2) fractions of every valid cell, in the order of `inside(size)`."""
    duration, begin = np.nonzero(inside(size))
    return np.stack([begin, begin + duration + 1], axis=1) / size


def believed(
    video: Video, *, size: int = 24, noise: float = 0.0, member: str = "", clip_rows: int = 0
) -> RawPrediction:
    """What a member believes: overlap with the truth, mixed with `noise` (0 to 1) of its own random numbers.

    With `clip_rows` the logits are those of clips, with a last column for background.
    """
    rng = rng_of(member, video.video_id)
    truth = segments_frac(video)
    exact = tiou(grid_segments(size), truth).max(axis=1, initial=0.0)
    maps = np.zeros((2, size, size))
    maps[:, inside(size)] = (1 - noise) * exact + noise * rng.random((2, exact.size))
    curves = 0.5 + 0.5 * rng.random((2, size))
    label = CLASSES.index(video.annotations[0].label)
    if clip_rows:
        middle = (np.arange(clip_rows) + 0.5) / clip_rows
        active = ((middle[:, None] >= truth[:, 0]) & (middle[:, None] < truth[:, 1])).any(axis=1)
        logits = 4.0 * np.eye(len(CLASSES) + 1)[np.where(active, label, len(CLASSES))]
    else:
        logits = 4.0 * (1 - noise) * np.eye(len(CLASSES))[[label]] + noise * rng.normal(
            size=(1, len(CLASSES))
        )
    return RawPrediction(video.video_id, DURATION_S, curves[0], curves[1], maps, logits)
