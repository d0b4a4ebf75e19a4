"""An ensemble of video classifiers: one weight per model, multiplied with its logits before the softmax.

Learned weights are one of three candidates, beside equal ones and the best model alone; cross-validation on
the videos to fit on chooses. With few videos equal weights are hard to beat, and then they are kept. One
model alone must win beyond chance: the best of several looks better on few videos than it is, and errors
that the others would have evened out come back.

Source: 2020 winners' report (arXiv 2006.07520), section 2.1; regularisation and choice are ours.

Letters: M models, V videos, K classes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from talaria.ensemble.classifier_set import ClassifierSet
from talaria.ensemble.folds import folds_of, refuse_overlap
from talaria.ensemble.log_loss import WeightProblem, video_losses
from talaria.errors import ConfigError
from talaria.evaluation.arrays import FloatArray

Choice = Literal["equal", "single", "learned"]
STRENGTHS = (1000.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
"""Pulls towards equal weights that are tried, in videos, the strongest first."""


@dataclass(frozen=True)
class ClassifierWeights:
    """What to multiply each model's logits with.

    Attributes:
        members: names of the models.
        weights: one per model, at or above 0. Their sum is free: it says how sure the fused scores are.
        choice: which candidate they are.
        losses: cross-validated log-loss of every candidate in nats.
        strength: pull towards equal weights behind the learned candidate, in videos.
        fitted_on: ids of the labelled videos.
    """

    members: tuple[str, ...]
    weights: tuple[float, ...]
    choice: Choice
    losses: dict[Choice, float]
    strength: float
    fitted_on: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class CrossFusion:
    """One subset fitted and judged: `logits_VK` of each video are the work of weights that never saw it."""

    folds: tuple[ClassifierWeights, ...]
    logits_VK: FloatArray


def learned_weights(
    data: ClassifierSet, *, folds: int, judged: Collection[str] = (), video_ids: Collection[str] | None = None
) -> ClassifierWeights:
    """Equal weights or learned ones, whichever cross-validates better, or the best model alone if far better.

    Learned weights minimise the log-loss on the videos to fit on, pulled towards equal ones as strongly as
    cross-validates best; their sum is learned, too, which with one model is temperature scaling. Equal
    weights are 1 / M each, the best model alone has weight 1; it is taken where its log-loss is less by more
    than one standard error of the difference. Of equally good ones the first stays.

    Args:
        data: logits and labels.
        folds: parts of the cross-validation, dealt by the hash of the video ids.
        judged: ids of the videos that the reported number will come from.
        video_ids: which videos of `data` to fit on; by default all.

    Raises:
        ConfigError: a video to fit on is to be judged, too, or fewer labelled videos than folds.
        DataError: no video to fit on has a label.
    """
    chosen = data.within(data.video_ids if video_ids is None else video_ids)
    refuse_overlap(chosen.video_ids, judged)
    known = chosen.labelled()
    losses, strength = _cross_validated(known, folds)
    candidates = _candidates(known, strength)
    if not any(candidates["learned"]):  # no model beats even scores; weights of zero could not rank classes
        del candidates["learned"]
    choice = _chosen({name: losses[name] for name in candidates})
    means: dict[Choice, float] = {name: float(loss_V.mean()) for name, loss_V in losses.items()}
    return ClassifierWeights(
        data.members, tuple(candidates[choice].tolist()), choice, means, strength, known.video_ids
    )


def cross_fusion(data: ClassifierSet, *, folds: int) -> CrossFusion:
    """Learn on all folds but one and fuse that one, for a subset that must serve for both.

    The folds are those of `talaria.ensemble.fitting.cross_fit` on the same videos.

    Raises:
        ConfigError: fewer videos than folds, or too few of them labelled.
    """
    logits_VK, fitted = np.zeros(data.logits_MVK.shape[1:]), []
    for part in folds_of(data.video_ids, _checked_folds(folds)):
        rest = set(data.video_ids) - set(part)
        fitted.append(learned_weights(data, folds=folds, judged=part, video_ids=rest))
        rows = np.isin(data.video_ids, part)
        logits_VK[rows] = fused_logits(data.logits_MVK[:, rows], fitted[-1].weights)
    return CrossFusion(tuple(fitted), logits_VK)


def fused_logits(logits_MVK: FloatArray, weights: Collection[float]) -> FloatArray:
    """(V, K) sum of the models' logits, each multiplied by its weight; softmax comes after.

    Raises:
        ConfigError: another number of weights than models, or one below 0 or not finite.
    """
    weight_M = np.array(tuple(weights), np.float64)
    if weight_M.shape != logits_MVK.shape[:1] or not (np.isfinite(weight_M) & (weight_M >= 0)).all():
        raise ConfigError(
            f"classifier weights: found {weight_M.tolist()}, expected a finite number of at least 0 for each "
            f"of {len(logits_MVK)} classifiers"
        )
    fused_VK: FloatArray = np.zeros(logits_MVK.shape[1:])
    for weight, logits_VK in zip(weight_M, logits_MVK, strict=True):
        fused_VK += weight * logits_VK  # one by one: a video rounds alike alone and among others
    return fused_VK


def log_loss(logits_VK: FloatArray, data: ClassifierSet) -> float:
    """Mean cross-entropy over the labelled videos, in nats.

    Raises:
        DataError: no video has a label.
    """
    num_labelled = len(data.labelled().video_ids)
    return float(video_losses(logits_VK, data.targets).sum() / num_labelled)


def _chosen(losses: dict[Choice, FloatArray]) -> Choice:
    """The candidate to take, given its (V,) losses.

    Source: the rule of one standard error (Breiman, Friedman, Olshen, Stone 1984, Classification and
    Regression Trees), here for one model alone against the better ensemble.
    """
    ensembles: list[Choice] = [name for name in losses if name != "single"]
    best = min(ensembles, key=lambda name: float(losses[name].mean()))
    gain_V = losses[best] - losses["single"]
    chance = float(gain_V.std(ddof=1)) / len(gain_V) ** 0.5
    return "single" if gain_V.mean() > chance else best


def _cross_validated(data: ClassifierSet, folds: int) -> tuple[dict[Choice, FloatArray], float]:
    """(V,) losses of every candidate, each on videos that it did not see, and the best strength."""
    parts = []
    for part in folds_of(data.video_ids, _checked_folds(folds)):
        seen, held = data.within(set(data.video_ids) - set(part)), data.within(part)
        tried = [_equal(seen), _single(seen), *_learned(seen, STRENGTHS)]
        parts.append([video_losses(fused_logits(held.logits_MVK, one), held.targets) for one in tried])
    equal_V, single_V, *learned = np.concatenate(parts, axis=1)
    best = int(np.argmin([loss_V.mean() for loss_V in learned]))
    return {"equal": equal_V, "single": single_V, "learned": learned[best]}, STRENGTHS[best]


def _candidates(data: ClassifierSet, strength: float) -> dict[Choice, FloatArray]:
    """The simplest first."""
    path = STRENGTHS[: STRENGTHS.index(strength) + 1]
    return {"equal": _equal(data), "single": _single(data), "learned": _learned(data, path)[-1]}


def _equal(data: ClassifierSet) -> FloatArray:
    return np.full(len(data.members), 1.0 / len(data.members))


def _single(data: ClassifierSet) -> FloatArray:
    """1 for the model with the least log-loss; of equally good ones for the first."""
    losses = [video_losses(one_VK, data.targets).sum() for one_VK in data.logits_MVK]
    weight_M: FloatArray = np.eye(len(losses))[int(np.argmin(losses))]
    return weight_M


def _learned(data: ClassifierSet, strengths: Collection[float]) -> list[FloatArray]:
    """Weights for falling strengths, each search beginning where the last one ended."""
    problem, path = WeightProblem(data.logits_MVK, data.targets), [_equal(data)]
    for strength in strengths:
        path.append(problem.minimum(strength, path[-1]))
    return path[1:]


def _checked_folds(folds: int) -> int:
    if folds < 2:
        raise ConfigError(f"ensemble.folds: found {folds}, expected at least 2")
    return folds
