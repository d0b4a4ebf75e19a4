"""Fitting on some videos, judging on others, and the rule that the two never meet.

Weights and post-processing are learned from average mAP on the videos to fit on. The number that is reported
comes from other videos: of another subset (`fit`, then `judge`), or, where one subset must serve for both,
each from the fit that did not see it (`cross_fit`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.clusters import Late
from talaria.ensemble.folds import folds_of, refuse_overlap
from talaria.ensemble.learning import Choice, Learner
from talaria.ensemble.scoring import FusionSet
from talaria.ensemble.weights import Weights, equal_weights, shares
from talaria.evaluation.arrays import Detections
from talaria.evaluation.detection import DetectionResult
from talaria.evaluation.formats import as_written

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
    weights: Weights
    config: PostprocessConfig
    average_map: float


@dataclass(frozen=True)
class Fits:
    """Everything that is compared, all fitted on the same videos with the same effort.

    Attributes:
        fitted_on: ids of these videos.
        alone: every member by itself, with post-processing of its own.
        equal: all members with equal weights.
        learned: all members with learned weights.
        choice: how these weights were learned.
        late: what makes detections comparable, where members have nothing else in common.
    """

    fitted_on: tuple[str, ...]
    alone: tuple[Fit, ...]
    equal: Fit
    learned: Fit
    choice: Choice
    late: Late | None

    def ready(self, data: FusionSet) -> FusionSet:
        """`data` with something that weights can mix."""
        return data.clustered(self.late) if self.late else data


@dataclass(frozen=True, eq=False)
class Judgement:
    """Scores on videos that nothing was fitted on.

    Attributes:
        alone: of every member by itself, by name.
        equal: of equal weights.
        learned: of learned weights.
        without: of learned weights without one member, by its name; those of the others grow in proportion.
        alone_detections: of every member by itself, by name.
        detections: those of the learned weights; `video_idx` numbers the set's `truth.video_ids`.
    """

    alone: dict[str, DetectionResult]
    equal: DetectionResult
    learned: DetectionResult
    without: dict[str, DetectionResult]
    alone_detections: dict[str, Detections]
    detections: Detections


def fit(
    data: FusionSet,
    tune: Tune,
    learner: Learner,
    *,
    judged: Collection[str],
    video_ids: Collection[str] | None = None,
    name: str = "all",
) -> Fits:
    """Learn post-processing and weights on some videos.

    Post-processing is tuned for each member alone and for equal weights; weights are learned with the latter,
    and post-processing is tuned once more for them.

    Args:
        data: videos to fit on.
        tune: finds post-processing.
        learner: finds weights.
        judged: ids of the videos that the reported number will come from.
        video_ids: which videos of `data` to fit on; by default all.
        name: what this fit is called, unique in the ensemble.

    Raises:
        ConfigError: a video to fit on is to be judged, too.
        DataError: no video to fit on has an annotated segment.
    """
    chosen = tuple(sorted(data.video_ids if video_ids is None else video_ids))
    refuse_overlap(chosen, judged)
    count = len(data.members)
    alone = tuple(
        _tuned(data.only(index), (1.0,), tune, chosen, f"{name}-alone-{index}") for index in range(count)
    )
    late = None
    if data.joint is None:
        late = data.late([fitted.config for fitted in alone], chosen)
        data = data.clustered(late)
    equal = _tuned(data, equal_weights(count), tune, chosen, f"{name}-equal")

    def worth(ids: Collection[str]) -> list[float]:
        return [data.only(i).average_map((1.0,), alone[i].config, ids) for i in range(count)]

    choice = learner.choose(data, equal.config, worth, chosen, name)
    learned = equal
    if choice.weights != equal.weights:
        same = data.average_map(choice.weights, equal.config, chosen)
        tuned = _tuned(data, choice.weights, tune, chosen, f"{name}-learned")
        kept = Fit(data.members, choice.weights, equal.config, same)
        learned = tuned if tuned.average_map > same else kept
    return Fits(chosen, alone, equal, learned, choice, late)


def judge(data: FusionSet, fits: Fits) -> Judgement:
    """Score fits on videos that they never saw.

    Raises:
        ConfigError: they were fitted on one of these videos.
    """
    assert fits.learned.members == data.members, "fits and predictions of other members"
    refuse_overlap(fits.fitted_on, data.video_ids)
    return _judged(data, [(fits, data.video_ids)])


def cross_fit(data: FusionSet, tune: Tune, learner: Learner, *, folds: int) -> tuple[list[Fits], Judgement]:
    """Fit on all folds but one, detect on that one, and score all these detections together.

    Args:
        data: the one subset that serves for both.
        tune: finds post-processing.
        learner: finds weights.
        folds: K; `folds_of` tells which videos belong together.

    Returns:
        The fit that did not see fold k, for each k, and the scores.

    Raises:
        ConfigError: fewer videos than folds.
    """
    parts = folds_of(data.video_ids, folds)
    everything = set(data.video_ids)
    fitted = [
        fit(data, tune, learner, judged=part, video_ids=everything - set(part), name=f"fold{index}")
        for index, part in enumerate(parts)
    ]
    return fitted, _judged(data, list(zip(fitted, parts, strict=True)))


def without_member(weights: Weights, member: int) -> Weights:
    """The weights without one member's; the others' grow in proportion, or are equal if all were 0."""
    others = [0.0 if index == member else weight for index, weight in enumerate(weights)]
    return shares(others if any(others) else [float(index != member) for index in range(len(weights))])


def _tuned(data: FusionSet, weights: Weights, tune: Tune, video_ids: tuple[str, ...], name: str) -> Fit:
    """Weights with post-processing tuned for them."""
    config = tune(name, lambda config: data.average_map(weights, config, video_ids))
    return Fit(data.members, weights, config, data.average_map(weights, config, video_ids))


def _judged(data: FusionSet, parts: Sequence[tuple[Fits, Collection[str]]]) -> Judgement:
    """Scores of detections put together from parts, each the work of fits that did not see it.

    Detections are judged as a file holds them, like those that the ensemble leaves.
    """
    ready = [(fits.ready(data), fits, part) for fits, part in parts]
    alone = {
        member: _joined([_found(data.only(i), fits.alone[i], part) for fits, part in parts])
        for i, member in enumerate(data.members)
    }
    equal = _joined([_found(one, fits.equal, part) for one, fits, part in ready])
    learned = _joined([_found(one, fits.learned, part) for one, fits, part in ready])
    without = {
        member: data.score(
            _joined(
                [
                    one.detections(without_member(fits.learned.weights, i), fits.learned.config, part)
                    for one, fits, part in ready
                ]
            )
        )
        for i, member in enumerate(data.members)
        if len(data.members) > 1
    }
    scores = {member: data.score(found) for member, found in alone.items()}
    return Judgement(scores, data.score(equal), data.score(learned), without, alone, learned)


def _joined(parts: Sequence[Detections]) -> Detections:
    return as_written(Detections.joined(parts))


def _found(data: FusionSet, fitted: Fit, video_ids: Collection[str]) -> Detections:
    return data.detections(fitted.weights, fitted.config, video_ids)
