"""What happens in each video of the demo set, drawn from the seed and the video's id alone."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from talaria.config.specs import DemoSpec
from talaria.data.demo_motion import PATTERNS, Instance
from talaria.seeds import content_seed

_SIZES = ((128, 96), (160, 90), (96, 128), (144, 108), (160, 120))
_RATES = (Fraction(10), Fraction(25, 2), Fraction(15), Fraction(20), Fraction(24000, 1001))
_RATE_SHARES = (0.35, 0.25, 0.2, 0.1, 0.1)
_NUM_INSTANCES_SHARES = (0.15, 0.25, 0.25, 0.2, 0.15)
_NUM_DISTRACTORS_SHARES = (0.5, 0.3, 0.2)
_SHORTEST_S, _LONGEST_S = 2.0, 30.0
_MOST_ACTION_FRAC = 0.7
_GAP_S = 0.6
_TWO_CLASSES_FRAC = 0.05
_ANNOTATED_EXCESS = 1.2
_TRIMMED_S = (3.0, 8.0)

TRIMMED = "trimmed"
"""Subset of the short videos of one action."""
Flaw = Literal["none", "broken", "short"]


@dataclass(frozen=True)
class VideoPlan:
    """One video to render.

    Attributes:
        num_frames: frames of the file.
        instances: its actions in order.
        seed: of everything in it that the plan leaves open.
        look_seeds: of the background, the actor and the distractors; videos share them.
        flaw: `broken` is cut off, `short` is annotated as longer than it is.
    """

    video_id: str
    subset: str
    width: int
    height: int
    fps: Fraction
    num_frames: int
    instances: tuple[Instance, ...]
    seed: int
    look_seeds: tuple[int, ...]
    flaw: Flaw

    @property
    def annotated_s(self) -> float:
        """The length that the annotations give."""
        return float(self.num_frames / self.fps) * (_ANNOTATED_EXCESS if self.flaw == "short" else 1.0)


def plan_videos(spec: DemoSpec) -> list[VideoPlan]:
    """All videos of a demo set; the flawed ones are the last of training."""
    counts = {
        "training": spec.num_training,
        "validation": spec.num_validation,
        "testing": spec.num_testing,
        TRIMMED: spec.num_trimmed or 0,
    }
    return [_plan(spec, subset, index) for subset, count in counts.items() for index in range(count)]


def _plan(spec: DemoSpec, subset: str, index: int) -> VideoPlan:
    video_id = f"demo_{subset}_{index:04d}"
    seed = content_seed(spec.seed, video_id)
    rng = np.random.default_rng(seed)
    duration_s = _duration_s(spec, subset, rng)
    width, height = _SIZES[rng.integers(len(_SIZES))]
    fps = _RATES[rng.choice(len(_RATES), p=_RATE_SHARES)]
    num_frames = round(duration_s * fps)
    spans = [(0, num_frames)] if subset == TRIMMED else _spans(num_frames, float(fps), rng)
    labels = _labels(spec, index, len(spans), rng)
    instances = tuple(Instance(start, end, label) for (start, end), label in zip(spans, labels, strict=True))
    flaw = _flaw(spec, subset, index)
    looks = _look_seeds(spec, rng)
    return VideoPlan(video_id, subset, width, height, fps, num_frames, instances, seed, looks, flaw)


def _duration_s(spec: DemoSpec, subset: str, rng: np.random.Generator) -> float:
    if subset == TRIMMED:
        return float(rng.uniform(*_TRIMMED_S))
    return float(spec.min_duration_s + rng.beta(1.0, 3.5) * (spec.max_duration_s - spec.min_duration_s))


def _look_seeds(spec: DemoSpec, rng: np.random.Generator) -> tuple[int, ...]:
    """What the video looks like: draws from a few looks that all videos and classes share."""
    num_distractors = 1 + rng.choice(len(_NUM_DISTRACTORS_SHARES), p=_NUM_DISTRACTORS_SHARES)
    kinds = ("background", *("shape",) * (1 + num_distractors))
    return tuple(content_seed(spec.seed, kind, rng.integers(spec.num_looks)) for kind in kinds)


def _flaw(spec: DemoSpec, subset: str, index: int) -> Flaw:
    from_end = spec.num_training - 1 - index
    if subset != "training" or from_end >= spec.num_broken + spec.num_short:
        return "none"
    return "broken" if from_end < spec.num_broken else "short"


def _spans(num_frames: int, fps: float, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Frame spans of one to five actions of very different lengths, with rest before, between and after."""
    duration_s = num_frames / fps
    shortest_s, longest_s = min(_SHORTEST_S, 0.3 * duration_s), min(_LONGEST_S, 0.6 * duration_s)
    count = 1 + rng.choice(len(_NUM_INSTANCES_SHARES), p=_NUM_INSTANCES_SHARES)
    lengths_s = np.exp(rng.uniform(np.log(shortest_s), np.log(longest_s), size=count))
    while len(lengths_s) > 1 and lengths_s.sum() > _MOST_ACTION_FRAC * duration_s:
        lengths_s = np.delete(lengths_s, lengths_s.argmax())
    free_s = duration_s - lengths_s.sum()
    least_s = min(_GAP_S, free_s / (2 * (len(lengths_s) + 1)))
    gaps_s = least_s + rng.dirichlet(np.ones(len(lengths_s) + 1)) * (free_s - least_s * (len(lengths_s) + 1))
    starts_s = np.cumsum(gaps_s[:-1]) + np.cumsum(lengths_s) - lengths_s
    return [
        (round(start_s * fps), round((start_s + length_s) * fps))
        for start_s, length_s in zip(starts_s, lengths_s, strict=True)
    ]


def _labels(spec: DemoSpec, index: int, count: int, rng: np.random.Generator) -> list[str]:
    """One label for all actions of a video, rarely two; the classes take turns from video to video."""
    classes = list(PATTERNS)[: spec.num_classes]
    labels = [classes[index % len(classes)]] * count
    if count > 1 and rng.random() < _TWO_CLASSES_FRAC / (1 - _NUM_INSTANCES_SHARES[0]):
        labels[rng.integers(count)] = classes[(index + rng.integers(1, len(classes))) % len(classes)]
    return labels
