"""Video classifiers of known quality, for the tests of their ensemble."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from talaria.ensemble.classifier_set import ClassifierSet
from talaria.evaluation.video_labels import VideoLabels


def video_labels(label_idx: Sequence[int] | NDArray[np.integer], num_classes: int) -> VideoLabels:
    """One label for each of some videos; -1 for none."""
    label_V = np.array(label_idx)
    known = np.flatnonzero(label_V >= 0)
    ids = tuple(f"video-{index:04d}" for index in range(len(label_V)))
    return VideoLabels(ids, tuple(f"class-{k}" for k in range(num_classes)), known, label_V[known])


def classifier_set(
    logits_MVK: NDArray[np.floating], label_idx: Sequence[int] | NDArray[np.integer]
) -> ClassifierSet:
    """Members are called m0, m1, ..."""
    names = tuple(f"m{index}" for index in range(len(logits_MVK)))
    return ClassifierSet(
        names, np.array(logits_MVK, np.float64), video_labels(label_idx, logits_MVK.shape[2])
    )


def noisy_set(noises: Sequence[float], num_videos: int, num_classes: int = 5, seed: int = 0) -> ClassifierSet:
    """Models that say 3 for the true class, with noise; infinite noise is noise alone."""
    rng = np.random.default_rng(seed)
    label_V = rng.integers(num_classes, size=num_videos)
    truth_VK = 3.0 * np.eye(num_classes)[label_V]
    logits = [
        rng.normal(size=truth_VK.shape) * 3
        if np.isinf(noise)
        else truth_VK + noise * rng.normal(size=truth_VK.shape)
        for noise in noises
    ]
    return classifier_set(np.array(logits), label_V)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Over the last axis."""
    power = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return power / power.sum(axis=-1, keepdims=True)
