"""Weights by gradient: average mAP has none, so a ranking loss stands in for it.

A segment's quality is the share of the tIoU thresholds 0.5 to 0.95 that its best truth passes. Of many pairs
of segments, of one video or two, the one of higher quality shall have the higher score.

Letters: N members, X segments, J pairs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.scoring import FusionSet
from talaria.ensemble.weights import equal_weights
from talaria.evaluation.arrays import FloatArray, IntArray
from talaria.evaluation.detection import ACTIVITYNET_THRESHOLDS
from talaria.evaluation.tiou import tiou

_PAIRS, _STEPS, _RATE = 40_000, 150, 0.1
_TINY = 1e-6


def gradient_weights(
    data: FusionSet, config: PostprocessConfig, *, pull: float, seed: int
) -> tuple[float, ...]:
    """Weights that put better segments before worse ones.

    Args:
        data: the videos to fit on, and no others.
        config: powers of the score.
        pull: weight of the Kullback-Leibler distance from equal weights in the loss: the regularisation.
        seed: of the pairs.

    Returns:
        One weight per member, with sum 1.
    """
    assert data.joint is not None
    quality_X = qualities(data, config)
    first_J, second_J = _pairs(quality_X, seed)
    if not len(first_J):
        return equal_weights(len(data.members))
    gap_J = torch.from_numpy(quality_X[first_J] - quality_X[second_J])
    rows = np.unique(np.concatenate([first_J, second_J]))
    first, second = (torch.from_numpy(np.searchsorted(rows, one)) for one in (first_J, second_J))
    factors = [
        (torch.from_numpy(factor.values_NX[:, rows].astype(np.float64)), factor.power)
        for factor in data.joint.factors(config)
        if factor.power > 0
    ]
    free_N = torch.zeros(len(data.members), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([free_N], lr=_RATE)
    for _ in range(_STEPS):
        optimiser.zero_grad()
        weight_N = torch.softmax(free_N, 0)
        score_X = _log_scores(weight_N, factors)
        loss = (gap_J * softplus(score_X[second] - score_X[first])).mean()
        distance = -torch.log_softmax(free_N, 0).mean() - np.log(len(data.members))
        (loss + pull * distance).backward()
        optimiser.step()
    found: list[float] = torch.softmax(free_N.detach(), 0).tolist()
    return tuple(weight / sum(found) for weight in found)


def qualities(data: FusionSet, config: PostprocessConfig) -> FloatArray:
    """(X,) of every segment of `data.joint`, placed as equal weights place it, in [0, 1]."""
    assert data.joint is not None
    truth, number = data.truth, {name: index for index, name in enumerate(data.truth.video_ids)}
    placed_X2 = data.joint.placed(equal_weights(len(data.members)))
    quality_X: FloatArray = np.zeros(len(placed_X2))
    for index, video_id in enumerate(data.predicted):
        mine = slice(*np.searchsorted(data.joint.video_idx, [index, index + 1]))
        true_G = truth.video_idx == number[video_id]
        truths_s = np.stack([truth.start_s[true_G], truth.end_s[true_G]], axis=1)
        if len(truths_s):
            best_X = tiou(placed_X2[mine] * data.durations_s[index], truths_s, undefined=0.0).max(axis=1)
            quality_X[mine] = (best_X[:, None] >= ACTIVITYNET_THRESHOLDS).mean(axis=1)
    return quality_X


def _pairs(quality_X: FloatArray, seed: int) -> tuple[IntArray, IntArray]:
    """Rows of the better and of the worse segment of each pair."""
    rng = np.random.default_rng(seed)
    good = np.flatnonzero(quality_X > 0)
    if not len(good):
        return good, good
    first, second = rng.choice(good, _PAIRS), rng.integers(0, len(quality_X), _PAIRS)
    swap = quality_X[first] < quality_X[second]
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    differ = quality_X[first] > quality_X[second]
    return first[differ], second[differ]


def _log_scores(weight_N: Tensor, factors: list[tuple[Tensor, float]]) -> Tensor:
    parts = [power * torch.log(weight_N @ values_NX + _TINY) for values_NX, power in factors]
    return torch.stack(parts).sum(0)
