"""What KT-MGFN learns from: the classes of a video, and features of trimmed clips of these classes.

Letters: K classes, N clips at hand, R clips drawn, G classifiers, H channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def build_targets(labels: Sequence[int], num_classes: int) -> dict[str, Tensor]:
    """The classes of one video.

    Args:
        labels: class indices, in any order, repeated or not; may be empty.
        num_classes: K.

    Returns:
        `classes` (K,) float32, 1 for those of the video.

    Raises:
        ValueError: a label that is no class.
    """
    classes_K = torch.zeros(num_classes)
    for label in labels:
        if not 0 <= label < num_classes:
            raise ValueError(f"labels: found {label}, expected 0 to {num_classes - 1}")
        classes_K[label] = 1.0
    return {"classes": classes_K}


def draw_trimmed(
    pooled_NGH: Tensor, label_N: Tensor, labels: Sequence[int], num_clips: int, seed: int
) -> dict[str, Tensor]:
    """Pooled features of random trimmed clips of a video's classes, the classes taking turns.

    Args:
        pooled_NGH: `KTMGFNOutput.pooled_BGH` of the trained trimmed branch for all clips.
        label_N: int64, class of each clip.
        labels: class indices of the video.
        num_clips: R.
        seed: decides the draw. Clips are drawn without replacement while a class has any left.

    Returns:
        `trimmed_features` (R, G, H) and `trimmed_valid` (R,) bool; fewer than R are valid where the classes
        have fewer clips.
    """
    generator = torch.Generator().manual_seed(seed)
    piles = []
    for label in sorted(set(labels)):
        clips = torch.nonzero(label_N == label).flatten()
        piles.append(clips[torch.randperm(len(clips), generator=generator)].tolist())
    drawn: list[int] = []
    for turn in range(max(map(len, piles), default=0)):
        drawn += [pile[turn] for pile in piles if turn < len(pile)]
    drawn = drawn[:num_clips]
    features_RGH = pooled_NGH.new_zeros(num_clips, *pooled_NGH.shape[1:])
    features_RGH[: len(drawn)] = pooled_NGH[drawn]
    return {"trimmed_features": features_RGH, "trimmed_valid": torch.arange(num_clips) < len(drawn)}
