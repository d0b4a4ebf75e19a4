"""Learning fusion weights: several ways, and which of them to trust on these videos.

Each way is fitted without every fold once and judged on that fold; the best in this cross-validation gives
the weights, as the mean over the folds. With few videos simple ways are hard to beat, and equal weights are
one of them: a way must win by more than `LEAD` over those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.folds import folds_of
from talaria.ensemble.scoring import FusionSet
from talaria.ensemble.surrogate import gradient_weights
from talaria.ensemble.weights import (
    Score,
    Weights,
    equal_weights,
    greedy_weights,
    mean_weights,
    performance_weights,
    without_specks,
)
from talaria.evaluation.arrays import Detections
from talaria.seeds import content_seed

WAYS = ("equal", "performance", "performance2", "performance4", "gradient", "greedy", "search")
"""The simplest first: equal weights; in proportion to what members are worth alone, to its square and to its
fourth power; by gradient on a ranking loss; greedily; by search on average mAP."""
LEAD = 0.002
"""Average mAP, in [0, 1], by which a less simple way must win."""
SPECK = 0.1
"""Weights below this part of an equal share become 0."""

Draw = Callable[[str, Score, int], Weights]
"""Weights by search: from a name unique in the ensemble, a score and the number of members."""


@dataclass(frozen=True)
class Choice:
    """Weights and where they come from.

    Attributes:
        way: name of the way that was chosen.
        weights: one per member, with sum 1.
        validated: of every way, average mAP in the cross-validation, in [0, 1].
        each: of every way, the weights it would have given.
    """

    way: str
    weights: Weights
    validated: dict[str, float]
    each: dict[str, Weights]


@dataclass(frozen=True, eq=False)
class Learner:
    """The ways.

    Attributes:
        rounds: votes that greedy selection gives away.
        folds: of the cross-validation.
        seed: of everything drawn.
        draw: weights by search on average mAP.
        way: the one of WAYS that is asked for; None chooses.
    """

    rounds: int
    folds: int
    seed: int
    draw: Draw
    way: str | None = None

    def choose(
        self,
        data: FusionSet,
        config: PostprocessConfig,
        worth: Callable[[Collection[str]], Sequence[float]],
        video_ids: Collection[str],
        name: str,
    ) -> Choice:
        """Weights from some videos.

        Args:
            data: with `joint`.
            config: post-processing that all weights are judged with.
            worth: average mAP of each member alone on some videos.
            video_ids: to fit on.
            name: unique in the ensemble.

        Returns:
            Equal weights for a single video.
        """
        if len(video_ids) < 2:
            even = equal_weights(len(data.members))  # one video cannot be fitted on and validated with
            return Choice("equal", even, {}, {"equal": even})
        parts = folds_of(video_ids, min(self.folds, len(video_ids)))
        fitted: dict[str, list[Weights]] = {}
        for index, part in enumerate(parts):
            rest = frozenset(video_ids) - set(part)
            for way, weights in self._all(data, config, worth(rest), rest, f"{name}-part{index}").items():
                fitted.setdefault(way, []).append(weights)
        validated = {
            way: data.score(
                Detections.joined(
                    [
                        data.detections(weights, config, part)
                        for weights, part in zip(listed, parts, strict=True)
                    ]
                ),
                video_ids,
            ).average_map
            for way, listed in fitted.items()
        }
        each = {way: without_specks(mean_weights(listed), SPECK) for way, listed in fitted.items()}
        way = self.way or _trusted(validated)
        return Choice(way, each[way], validated, each)

    def _all(
        self,
        data: FusionSet,
        config: PostprocessConfig,
        performances: Sequence[float],
        video_ids: frozenset[str],
        name: str,
    ) -> dict[str, Weights]:
        """The weights of every way that is asked for, from some videos."""

        def score(weights: Weights) -> float:
            return data.average_map(weights, config, video_ids)

        count = len(data.members)
        seed = content_seed(self.seed, "pairs", name)
        part = data.within(video_ids)
        makers: dict[str, Callable[[], Weights]] = {
            "equal": lambda: equal_weights(count),
            "performance": lambda: performance_weights(performances, 1.0),
            "performance2": lambda: performance_weights(performances, 2.0),
            "performance4": lambda: performance_weights(performances, 4.0),
            "gradient": lambda: gradient_weights(part, config, pull=0.01, seed=seed),
            "greedy": lambda: greedy_weights(score, performance_weights(performances, 1.0), self.rounds),
            "search": lambda: self.draw(name, score, count),
        }
        return {way: makers[way]() for way in WAYS if self.way in (None, way)}


def _trusted(validated: dict[str, float]) -> str:
    """The best way, or one before it that is nearly as good."""
    best = max(validated.values())
    return next(way for way, value in validated.items() if value >= best - LEAD)
