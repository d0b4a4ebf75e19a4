"""Members of known quality on made-up videos, and ways to fit them that cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.learning import Learner
from talaria.ensemble.pool import pooled
from talaria.ensemble.scoring import FusionSet
from talaria.ensemble.weights import Score, Weights, equal_weights
from talaria.prediction.belief import Belief
from talaria.records import Video
from unit.prediction.beliefs import believed, made_truth

NOISES = {"good": 0.5, "fair": 0.7, "junk-1": 1.0, "junk-2": 1.0}
FIXED = PostprocessConfig(boundary_power=0, proposals_per_video=80, detections_per_video=40)
SIZE = 120


def fixed(name: str, score: Callable[[PostprocessConfig], float]) -> PostprocessConfig:
    """Post-processing that is not tuned at all."""
    del name, score
    return FIXED


def drawn(name: str, score: Score, num_members: int) -> Weights:
    """A search that finds nothing better than equal weights."""
    del name, score
    return equal_weights(num_members)


def learner(way: str | None = "greedy", *, rounds: int = 6, folds: int = 3, seed: int = 0) -> Learner:
    """A learner of few folds."""
    return Learner(rounds, folds, seed, drawn, way)


def beliefs(video: Video) -> list[Belief]:
    """What the members of NOISES say of a video."""
    return [believed(video, size=16, noise=noise, member=name) for name, noise in NOISES.items()]


def fusion_set(videos: Sequence[Video], *, common: bool = True) -> FusionSet:
    """The members of NOISES on some videos."""
    pools = [pooled(beliefs(video), SIZE, common=common) for video in videos]
    return FusionSet.of(tuple(NOISES), pools, made_truth(tuple(videos)))
