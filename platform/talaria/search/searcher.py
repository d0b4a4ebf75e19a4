"""What is tried next: Optuna's tree-structured Parzen estimator in Ray Tune, seeded by the trial's number.

The study is filled from the trials on disk at every start, so that nothing depends on what a killed driver
had in memory. Imports Ray Tune and Optuna; `study.py` imports it when there is something to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from ray.tune.result import TRAINING_ITERATION
from ray.tune.search.optuna import OptunaSearch

from talaria.config.search import Distribution, SearchSection
from talaria.search.trial import NUMBER
from talaria.search.trials import TrialFolder, TrialResult
from talaria.search.warm_start import WarmStart
from talaria.seeds import content_seed

_STUDY = "search"
_NUMBER_ATTRIBUTE = "number"


@dataclass(frozen=True)
class DrawnSpace:
    """Draws the settings of one trial, those first that others depend on; a function for `OptunaSearch`."""

    space: tuple[tuple[str, Distribution], ...]
    num_earlier: int
    """Trials of earlier searches in the study, which count among its numbers."""

    def __call__(self, trial: optuna.Trial) -> dict[str, int]:
        drawn: dict[str, Any] = {}
        for path, distribution in self.space:
            if distribution.applies(drawn):
                drawn[path] = _suggested(trial, path, distribution)
        return {NUMBER: int(trial.user_attrs.get(_NUMBER_ATTRIBUTE, trial.number - self.num_earlier))}


class NumberedSampler(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """TPE with a seed of its own for every trial: a restarted search draws what it would have drawn."""

    def __init__(self, seed: int, constant_liar: bool) -> None:
        """Nothing is drawn yet.

        Args:
            seed: of all draws, with the trial's number.
            constant_liar: whether trials that are at work count as poor, so that others go elsewhere.
        """
        self._seed = seed
        self._constant_liar = constant_liar
        self._tpe = optuna.samplers.TPESampler()

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        seed = content_seed(self._seed, trial.number) % 2**32
        self._tpe = optuna.samplers.TPESampler(seed=seed, constant_liar=self._constant_liar)
        self._tpe.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, optuna.distributions.BaseDistribution]:
        space: dict[str, optuna.distributions.BaseDistribution]
        space = self._tpe.infer_relative_search_space(study, trial)
        return space

    def sample_relative(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        search_space: dict[str, optuna.distributions.BaseDistribution],
    ) -> dict[str, Any]:
        drawn: dict[str, Any] = self._tpe.sample_relative(study, trial, search_space)
        return drawn

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: optuna.distributions.BaseDistribution,
    ) -> Any:
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        state: optuna.trial.TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._tpe.after_trial(study, trial, state, values)


class StudySearch(OptunaSearch):  # type: ignore[misc]
    """`OptunaSearch` that puts what is drawn, and how it ended, on disk before anything follows from it."""

    def __init__(self, section: SearchSection, seed: int, folder: Path, warm_start: WarmStart) -> None:
        """Fill the study with what is known.

        Args:
            section: the recipe's.
            seed: of all draws.
            folder: of the search; its trials are taken up.
            warm_start: trials of earlier searches.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # Optuna sets its own level when it is imported
        objectives = list(section.objectives)
        modes = ["max" if objective == "score" else "min" for objective in objectives]
        several = len(objectives) > 1
        super().__init__(
            space=DrawnSpace(section.drawing_order, len(warm_start.finished)),
            metric=objectives if several else objectives[0],
            mode=modes if several else modes[0],
            sampler=NumberedSampler(seed, constant_liar=section.max_concurrent > 1),
            storage=_filled(section, folder, warm_start),
            study_name=_STUDY,
        )
        self._folder = folder
        self._epochs = section.epochs
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Draw, and reserve the trial's number on disk."""
        drawn: dict[str, Any] | None = super().suggest(trial_id)
        if drawn is not None:
            self._numbers[trial_id] = drawn[NUMBER]
            values = {path: value for path, value in drawn.items() if path != NUMBER}
            TrialFolder(self._folder, drawn[NUMBER]).begin(values)
        return drawn

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing yet: Optuna hears of all epochs once the trial has ended."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Write the trial's result, then let Optuna learn from it."""
        folder = TrialFolder(self._folder, self._numbers[trial_id])
        ended = folder.end(int((result or {}).get("epoch", 0)), self._epochs, died=error)
        for epoch, score in _epochs_of(ended).items():
            super().on_trial_result(trial_id, {"score": score, TRAINING_ITERATION: epoch})
        told = result if ended.status == "finished" else None  # without a result Optuna takes it for pruned
        super().on_trial_complete(trial_id, told, ended.status == "failed")


def _filled(section: SearchSection, folder: Path, warm_start: WarmStart) -> optuna.storages.BaseStorage:
    """A study in memory with all trials that ended; those that did not, and points to try, wait in it."""
    storage = optuna.storages.InMemoryStorage()
    directions = ["maximize" if objective == "score" else "minimize" for objective in section.objectives]
    study = optuna.create_study(storage=storage, study_name=_STUDY, directions=directions)
    for earlier in warm_start.finished:
        study.add_trial(_ended(section, earlier))
    number = 0
    while (trial := TrialFolder(folder, number)).begun:
        result = trial.result()
        if result is None:
            study.enqueue_trial(trial.values, user_attrs={_NUMBER_ATTRIBUTE: number})
        else:
            study.add_trial(_ended(section, result))
        number += 1
    for values in warm_start.first[number:]:
        study.enqueue_trial(values)
    return storage


def _ended(section: SearchSection, result: TrialResult) -> optuna.trial.FrozenTrial:
    states = optuna.trial.TrialState
    state = {"finished": states.COMPLETE, "stopped": states.PRUNED, "failed": states.FAIL}[result.status]
    worth = {"score": result.score, "cost": result.gflop}
    return optuna.trial.create_trial(
        state=state,
        values=[worth[objective] for objective in section.objectives] if state == states.COMPLETE else None,
        intermediate_values=_epochs_of(result) if len(section.objectives) == 1 else None,
        params=result.values,
        distributions={path: _distribution(section.space[path]) for path in result.values},
    )


def _epochs_of(result: TrialResult) -> dict[int, float]:
    return {epoch + 1: score for epoch, score in enumerate(result.scores)}


def _suggested(trial: optuna.Trial, path: str, distribution: Distribution) -> Any:
    if distribution.type == "choice":
        return trial.suggest_categorical(path, distribution.choices)
    low, high = float(distribution.low or 0), float(distribution.high or 0)
    if distribution.type == "int":
        return trial.suggest_int(path, int(low), int(high))
    return trial.suggest_float(path, low, high, log=distribution.type == "log_uniform")


def _distribution(distribution: Distribution) -> optuna.distributions.BaseDistribution:
    kinds = optuna.distributions
    if distribution.type == "choice":
        return kinds.CategoricalDistribution(distribution.choices)
    low, high = float(distribution.low or 0), float(distribution.high or 0)
    if distribution.type == "int":
        return kinds.IntDistribution(int(low), int(high))
    return kinds.FloatDistribution(low, high, log=distribution.type == "log_uniform")
