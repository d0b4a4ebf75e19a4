"""Fitting on some videos, judging on others, and the rule that the two never meet.

Weights and post-processing are learned from average mAP on the videos to fit on. The number that is reported
comes from other videos: of another subset (`fit`, then `judge`), or, where one subset must serve for both,
each from the fit that did not see it (`cross_fit`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.scoring import FusionSet
from talaria.ensemble.weights import equal_weights, greedy_weights
from talaria.errors import ConfigError
from talaria.evaluation.arrays import Detections
from talaria.evaluation.detection import DetectionResult
from talaria.seeds import content_seed

Tune = Callable[[str, Callable[[PostprocessConfig], float]], PostprocessConfig]
"""Finds post-processing: from a name unique in the ensemble and a score to the best settings."""


@dataclass(frozen=True)
class Fit:
    """Weights and post-processing, and where they come from.

    Attributes:
        members: names of the members.
        weights: one per member, with sum 1.
        average_map: on the videos that it was fitted on, in [0, 1].
    """

    members: tuple[str, ...]
    weights: tuple[float, ...]
    config: PostprocessConfig
    average_map: float


@dataclass(frozen=True)
class Fits:
    """Everything that is compared, all fitted on the same videos with the same effort.

    Attributes:
        fitted_on: ids of these videos.
        alone: every member by itself, with post-processing of its own.
        equal: all members with equal weights.
        learned: all members with learned weights and the post-processing of `equal`.
    """

    fitted_on: tuple[str, ...]
    alone: tuple[Fit, ...]
    equal: Fit
    learned: Fit


@dataclass(frozen=True, eq=False)
class Judgement:
    """Scores on videos that nothing was fitted on.

    Attributes:
        alone: of every member by itself, by name.
        equal: of equal weights.
        learned: of learned weights.
        detections: those of the learned weights; `video_idx` numbers the set's `truth.video_ids`.
    """

    alone: dict[str, DetectionResult]
    equal: DetectionResult
    learned: DetectionResult
    detections: Detections


@dataclass(frozen=True, eq=False)
class CrossFit:
    """One subset fitted and judged: `folds[k]` did not see fold k, whose detections are its work."""

    folds: tuple[Fits, ...]
    judgement: Judgement


def fit(
    data: FusionSet,
    tune: Tune,
    *,
    rounds: int,
    judged: Collection[str],
    video_ids: Collection[str] | None = None,
    name: str = "all",
) -> Fits:
    """Learn post-processing and weights on some videos.

    Post-processing is tuned for each member alone and for equal weights; weights are then learned with the
    latter.

    Args:
        data: videos to fit on.
        tune: finds post-processing.
        rounds: votes that greedy selection gives away.
        judged: ids of the videos that the reported number will come from.
        video_ids: which videos of `data` to fit on; by default all.
        name: what this fit is called, unique in the ensemble.

    Raises:
        ConfigError: a video to fit on is to be judged, too.
        DataError: no video to fit on has an annotated segment.
    """
    chosen = tuple(sorted(data.video_ids if video_ids is None else video_ids))
    refuse_overlap(chosen, judged)
    alone = tuple(
        _tuned(data.only(index), tune, chosen, f"{name}-alone-{index}") for index in range(len(data.members))
    )
    equal = _tuned(data, tune, chosen, f"{name}-equal")
    selection = greedy_weights(
        lambda weights: data.average_map(weights, equal.config, chosen), len(data.members), rounds
    )
    learned = Fit(data.members, selection.weights, equal.config, selection.score)
    return Fits(chosen, alone, equal, learned)


def judge(data: FusionSet, fits: Fits) -> Judgement:
    """Score fits on videos that they never saw.

    Raises:
        ConfigError: they were fitted on one of these videos.
    """
    assert fits.learned.members == data.members, "fits and predictions of other members"
    refuse_overlap(fits.fitted_on, data.video_ids)
    return _judged(data, [(fits, data.video_ids)])


def cross_fit(data: FusionSet, tune: Tune, *, folds: int, rounds: int) -> CrossFit:
    """Fit on all folds but one, detect on that one, and score all these detections together.

    Args:
        data: the one subset that serves for both.
        tune: finds post-processing.
        folds: K; `folds_of` tells which videos belong together.
        rounds: votes that greedy selection gives away.

    Raises:
        ConfigError: fewer videos than folds.
    """
    parts = folds_of(data.video_ids, folds)
    everything = set(data.video_ids)
    fitted = tuple(
        fit(data, tune, rounds=rounds, judged=part, video_ids=everything - set(part), name=f"fold{index}")
        for index, part in enumerate(parts)
    )
    return CrossFit(fitted, _judged(data, list(zip(fitted, parts, strict=True))))


def bagged(data: FusionSet, fits: Fits, crossed: CrossFit) -> Fits:
    """`fits` with the mean of the folds' learned weights in place of its own.

    Each fold's weights were learned without some of the videos, so that their mean hangs less on any one.

    Args:
        data: the videos that `fits` was fitted on.
        fits: fitted on all of them.
        crossed: fitted on all of them but one fold each.

    Source: Caruana, Munson, Niculescu-Mizil 2006, Getting the Most Out of Ensemble Selection, bagging.
    """
    rows = np.array([fold.learned.weights for fold in crossed.folds])
    weights = tuple((rows.mean(axis=0) / rows.mean(axis=0).sum()).tolist())
    config = fits.learned.config
    average_map = data.average_map(weights, config, fits.fitted_on)
    return replace(fits, learned=Fit(fits.learned.members, weights, config, average_map))


def folds_of(video_ids: Collection[str], folds: int) -> tuple[tuple[str, ...], ...]:
    """Videos dealt into folds by the hash of their ids; sizes differ by one at most.

    Raises:
        ConfigError: fewer videos than folds.
    """
    if len(video_ids) < folds:
        raise ConfigError(
            f"ensemble.folds: found {folds} for {len(video_ids)} videos, expected no more than videos"
        )
    order = sorted(video_ids, key=lambda video_id: (content_seed("fold", video_id), video_id))
    return tuple(tuple(sorted(order[index::folds])) for index in range(folds))


def refuse_overlap(fitted_on: Collection[str], judged: Collection[str]) -> None:
    """Stop where a video would be both fitted on and judged.

    Raises:
        ConfigError: naming how many there are and what to set.
    """
    shared = sorted(set(fitted_on) & set(judged))
    if shared:
        raise ConfigError(
            f"ensemble: {len(shared)} videos are both fitted on and judged, the first is {shared[0]}; set "
            "data.fit_subset and data.judge_subset to subsets without common videos, or to the same one for "
            "cross-fitting"
        )


def _tuned(data: FusionSet, tune: Tune, video_ids: tuple[str, ...], name: str) -> Fit:
    """Equal weights with post-processing tuned for them."""
    weights = equal_weights(len(data.members))
    config = tune(name, lambda config: data.average_map(weights, config, video_ids))
    return Fit(data.members, weights, config, data.average_map(weights, config, video_ids))


def _judged(data: FusionSet, parts: Sequence[tuple[Fits, Collection[str]]]) -> Judgement:
    """Scores of detections put together from parts, each the work of fits that did not see it."""
    alone = {
        member: data.score(_joined([_found(data.only(i), fits.alone[i], part) for fits, part in parts]))
        for i, member in enumerate(data.members)
    }
    equal = _joined([_found(data, fits.equal, part) for fits, part in parts])
    learned = _joined([_found(data, fits.learned, part) for fits, part in parts])
    return Judgement(alone, data.score(equal), data.score(learned), learned)


def _found(data: FusionSet, fitted: Fit, video_ids: Collection[str]) -> Detections:
    return data.detections(fitted.weights, fitted.config, video_ids)


def _joined(parts: Sequence[Detections]) -> Detections:
    columns = [[getattr(part, field.name) for part in parts] for field in fields(Detections)]
    return Detections(*(np.concatenate(column) for column in columns))
