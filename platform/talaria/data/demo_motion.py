"""How the actors of the demo set move: twelve kinds of motion that one frame cannot tell apart, and rest.

Letters: F frames. A pose is x, y in pixels (y down), a turn in radians (clockwise on screen) and a scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_RAMP_S = 0.3
_AMPLITUDE_FRAC = 0.26
_PERIOD_S = (0.7, 1.4)
_SMOOTHING_S = 0.4


@dataclass(frozen=True)
class Instance:
    """One action: frames [start_idx, end_idx) of its video."""

    start_idx: int
    end_idx: int
    label: str


@dataclass(frozen=True)
class Stage:
    """The frame in which things move; `unit` is its shorter side, to which all motion is scaled."""

    width: int
    height: int
    fps: float

    @property
    def unit(self) -> int:
        """Pixels of the shorter side."""
        return min(self.width, self.height)


def _zeros(phase: Floats) -> Floats:
    return np.zeros_like(phase)


def _triangle(phase: Floats) -> Floats:
    return np.arcsin(np.sin(phase)) * (2 / np.pi)


Pattern = Callable[[Floats], tuple[Floats, Floats, Floats, Floats]]

PATTERNS: dict[str, Pattern] = {
    "swing_left_right": lambda p: (np.sin(p), _zeros(p), _zeros(p), _zeros(p)),
    "swing_up_down": lambda p: (_zeros(p), np.sin(p), _zeros(p), _zeros(p)),
    "circle_clockwise": lambda p: (np.cos(p), np.sin(p), _zeros(p), _zeros(p)),
    "circle_counter_clockwise": lambda p: (np.cos(p), -np.sin(p), _zeros(p), _zeros(p)),
    "swing_diagonal": lambda p: (0.85 * np.sin(p), 0.85 * np.sin(p), _zeros(p), _zeros(p)),
    "swing_antidiagonal": lambda p: (0.85 * np.sin(p), -0.85 * np.sin(p), _zeros(p), _zeros(p)),
    "pulse": lambda p: (_zeros(p), _zeros(p), _zeros(p), 0.45 * np.sin(p)),
    "tremble": lambda p: (0.35 * np.sin(2.7 * p), 0.35 * np.sin(3.4 * p + 1), _zeros(p), _zeros(p)),
    "hop": lambda p: (_zeros(p), -1.3 * np.abs(np.sin(0.75 * p)), _zeros(p), _zeros(p)),
    "spin": lambda p: (_zeros(p), _zeros(p), p, _zeros(p)),
    "figure_eight": lambda p: (np.sin(p), 0.7 * np.sin(2 * p), _zeros(p), _zeros(p)),
    "zigzag": lambda p: (_triangle(p / 2), 0.7 * _triangle(2 * p), _zeros(p), _zeros(p)),
}
"""From phase to offsets x, y in amplitudes, turn in radians, and change of scale."""


def actor_poses(
    stage: Stage, num_frames: int, instances: Sequence[Instance], radius: float, rng: np.random.Generator
) -> Floats:
    """The actor's pose in every frame: the motion of its label during an instance, rest or drift in between.

    Args:
        stage: the frame.
        num_frames: F.
        instances: in order, without overlap.
        radius: of the actor, pixels.
        rng: source of homes, drifts, periods and amplitudes.

    Returns:
        (F, 4) poses. Motion starts with an instance's first frame and fades in and out within it.
    """
    poses = np.zeros((num_frames, 4))
    poses[:, 3] = 1.0
    margin = 0.6 * radius + _AMPLITUDE_FRAC * stage.unit
    home = _spot(stage, margin, rng)
    before_idx, turn = 0, rng.uniform(0, 2 * np.pi)
    for instance in [*instances, None]:
        end_idx = instance.start_idx if instance else num_frames
        poses[before_idx:end_idx, :2] = _rest(stage, home, margin, end_idx - before_idx, rng)
        poses[before_idx:end_idx, 2] = turn
        home = poses[end_idx - 1, :2] if end_idx else home
        if instance:
            count = instance.end_idx - instance.start_idx
            poses[instance.start_idx : instance.end_idx] = _act(stage, instance.label, count, rng)
            poses[instance.start_idx : instance.end_idx, :2] += home
            poses[instance.start_idx : instance.end_idx, 2] += turn
            turn = poses[instance.end_idx - 1, 2]
            before_idx = instance.end_idx
    return poses


def distractor_poses(stage: Stage, num_frames: int, radius: float, rng: np.random.Generator) -> Floats:
    """(F, 4) poses of something that crosses the frame in a straight line, over and over, or jitters."""
    poses = np.zeros((num_frames, 4))
    poses[:, 2:] = rng.uniform(0, 2 * np.pi), 1.0
    start = _spot(stage, 0.0, rng)
    if rng.random() < 0.6:
        heading, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.3) * stage.unit
        step = speed / stage.fps * np.array([np.cos(heading), np.sin(heading)])
        span = np.array([stage.width, stage.height]) + 2 * radius
        poses[:, :2] = (start + radius + np.arange(num_frames)[:, None] * step) % span - radius
    else:
        poses[:, :2] = (
            start + _smooth_noise(num_frames, stage.fps, rng) * rng.uniform(0.01, 0.04) * stage.unit
        )
    return poses


def _spot(stage: Stage, margin: float, rng: np.random.Generator) -> Floats:
    low, high = _bounds(stage, margin)
    return rng.uniform(low, high)


def _bounds(stage: Stage, margin: float) -> tuple[Floats, Floats]:
    """Lowest and highest x, y at least `margin` away from the border."""
    size = np.array([stage.width, stage.height], dtype=np.float64)
    low = np.minimum(margin, 0.45 * size)
    return low, size - low


def _act(stage: Stage, label: str, count: int, rng: np.random.Generator) -> Floats:
    """(count, 4) pose changes of one instance, around its home; the last column is the scale itself."""
    time_s = np.arange(1, count + 1) / stage.fps
    speed = 2 * np.pi / rng.uniform(*_PERIOD_S)
    wobble = 0.3 * np.sin(2 * np.pi * time_s / rng.uniform(4, 9) + rng.uniform(0, 2 * np.pi))
    phase = speed * time_s + wobble - wobble[0]
    x, y, turn, growth = PATTERNS[label](phase)
    ramp_s = min(_RAMP_S, count / stage.fps / 4)
    fade = np.clip(np.minimum(time_s, count / stage.fps - time_s) / ramp_s, 0, 1)
    amplitude = rng.uniform(0.8, 1.2) * _AMPLITUDE_FRAC * stage.unit * fade
    return np.stack([x * amplitude, y * amplitude, turn, 1 + rng.uniform(0.8, 1.2) * growth * fade], axis=1)


def _rest(stage: Stage, home: Floats, margin: float, count: int, rng: np.random.Generator) -> Floats:
    """(count, 2) places near a home: standing still, drifting slowly, or wandering."""
    mood = rng.choice(["still", "drift", "wander"], p=[0.4, 0.35, 0.25])
    velocity = np.zeros((count, 2))
    if mood == "drift":
        heading = rng.uniform(0, 2 * np.pi)
        velocity += rng.uniform(0.02, 0.06) * np.array([np.cos(heading), np.sin(heading)])
    elif mood == "wander" and count:
        velocity += rng.uniform(0.04, 0.08) * _smooth_noise(count, stage.fps, rng)
    path = home + np.cumsum(velocity, axis=0) * stage.unit / stage.fps
    low, high = _bounds(stage, margin)
    return high - np.abs((path - low) % (2 * (high - low)) - (high - low))


def _smooth_noise(count: int, fps: float, rng: np.random.Generator) -> Floats:
    """(count, 2) noise of unit deviation that changes within about half a second."""
    reach = max(1, round(2 * _SMOOTHING_S * fps))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (reach / 2)) ** 2)
    kernel /= np.sqrt(np.sum(kernel**2))
    white = rng.standard_normal((count + 2 * reach, 2))
    return np.stack([np.convolve(white[:, axis], kernel, mode="valid") for axis in range(2)], axis=1)
