"""The inner search: Optuna over post-processing and fusion weights on stored predictions, without training.

The journal on disk holds finished trials only, each appended whole. A killed search reads them back and goes
on with the next; as every draw is seeded by the number of finished trials, the result is that of an
undisturbed search.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from talaria.config.postprocess import PostprocessConfig
from talaria.errors import DataError, DriftError
from talaria.search.journal import FileLock, drop_partial_line
from talaria.seeds import content_seed

Objective = Callable[[Mapping[str, Any]], float]
"""From drawn values to what they are worth, such as average mAP; none drawn is where the search starts."""

_STUDY = "postprocess"
_PULL = 0.01
"""What weights must gain, in average mAP, to leave equal ones altogether."""


@dataclass(frozen=True)
class Uniform:
    """A real number in [low, high], drawn evenly, or evenly in its logarithm."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Whole:
    """A whole number in [low, high]."""

    low: int
    high: int


Space: TypeAlias = Mapping[str, Uniform | Whole]
"""What may be drawn for fields of PostprocessConfig."""

_LABELS_AND_SUPPRESSION: Space = {
    "class_power": Uniform(0.0, 2.0),
    "classes_per_video": Whole(1, 5),
    "low": Uniform(0.0, 0.8),
    "high": Uniform(0.3, 1.0),
    "alpha": Uniform(0.05, 2.0, log=True),
}
SPACE: Space = {
    "map_classification_power": Uniform(0.0, 2.0),
    "map_regression_power": Uniform(0.0, 2.0),
    "boundary_power": Uniform(0.0, 2.0),
    **_LABELS_AND_SUPPRESSION,
}
"""For members with boundary-matching maps."""
REFINED_SPACE: Space = {
    "proposal_power": Uniform(0.0, 2.0),
    "refined_power": Uniform(0.0, 2.0),
    **_LABELS_AND_SUPPRESSION,
}
"""For members with refined proposals."""
ANY_SPACE: Space = {**SPACE, **REFINED_SPACE}
"""For members of several kinds; each heeds its own powers."""


@dataclass(frozen=True)
class InnerResult:
    """The best values found.

    Attributes:
        values: none where no trial was better than the start.
        value: what they are worth.
        num_trials: finished trials behind it.
    """

    values: Mapping[str, Any]
    value: float
    num_trials: int


def search_postprocess(
    score: Callable[[PostprocessConfig], float],
    base: PostprocessConfig,
    *,
    trials: int,
    seed: int,
    journal: Path,
    identity: str,
    space: Space = SPACE,
) -> PostprocessConfig:
    """Find post-processing settings; arguments and errors are those of `search_values`.

    Args:
        score: what settings are worth.
        base: the recipe's settings; fields outside `space` stay, and the result is never worse than these.
    """
    found = search_values(
        lambda values: score(dataclasses.replace(base, **values)),
        trials=trials,
        seed=seed,
        journal=journal,
        identity=identity,
        space=space,
        start=dataclasses.asdict(base),
    )
    return dataclasses.replace(base, **found.values)


def search_weights(
    score: Callable[[tuple[float, ...]], float],
    num_members: int,
    *,
    trials: int,
    seed: int,
    journal: Path,
    identity: str,
) -> tuple[float, ...]:
    """Find one weight per member, never worse than equal ones; as `search_values` for the rest.

    Weights far from equal ones must be better by more, up to `_PULL`: the regularisation.

    Args:
        score: what weights are worth, average mAP in [0, 1].
    """
    names = [f"member{index:03d}" for index in range(num_members)]
    even = 1 / num_members

    def weights_of(values: Mapping[str, Any]) -> tuple[float, ...]:
        drawn = [values.get(name, 1.0) for name in names]
        return tuple(one / sum(drawn) for one in drawn) if any(drawn) else (even,) * num_members

    def objective(values: Mapping[str, Any]) -> float:
        weights = weights_of(values)
        return score(weights) - _PULL * sum(abs(weight - even) for weight in weights) / 2

    found = search_values(
        objective,
        trials=trials,
        seed=seed,
        journal=journal,
        identity=identity,
        space={name: Uniform(0.0, 1.0) for name in names},
        start={"weights": "equal"},
    )
    return weights_of(found.values)


def search_values(
    objective: Objective,
    *,
    trials: int,
    seed: int,
    journal: Path,
    identity: str,
    space: Space,
    start: Mapping[str, Any],
) -> InnerResult:
    """Find values, or go on finding where a killed search stopped.

    Args:
        objective: deterministic, or a resumed search could end elsewhere.
        trials: finished trials in the end.
        seed: of all draws.
        journal: the study's file, made if absent.
        identity: stands for everything that decides the objective's values (members, videos, fold).
        space: what to search.
        start: what holds where nothing is drawn; the result is never worse.

    Raises:
        DriftError: the journal is of another search.
        DataError: the journal is damaged.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    about = {"identity": identity, "seed": seed, "base": dict(start), "space": _plain(space)}
    kept = _opened(optuna, journal, about)
    study = optuna.create_study(direction="maximize", study_name=_STUDY)
    study.add_trials(kept.get_trials(deepcopy=False)[:trials])
    for number in range(len(study.trials), trials):
        study.sampler = optuna.samplers.TPESampler(seed=content_seed(seed, number) % 2**32)
        trial = study.ask(_distributions(optuna, space))
        value = objective(trial.params)
        kept.add_trial(study.tell(trial, value))
    return _best(study.trials, objective)


def _best(trials: list[Any], objective: Objective) -> InnerResult:
    """The best trial, the first of equal ones, if it is better than the start."""
    best = InnerResult({}, objective({}), len(trials))
    for trial in trials:
        if trial.value > best.value:
            best = InnerResult(trial.params, trial.value, len(trials))
    return best


def _opened(optuna: Any, journal: Path, about: dict[str, Any]) -> Any:
    """The study in the journal, made if absent."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    drop_partial_line(journal)
    backend = optuna.storages.journal.JournalFileBackend(str(journal), lock_obj=FileLock(journal))
    try:
        storage = optuna.storages.JournalStorage(backend)
        if any(study.study_name == _STUDY for study in storage.get_all_studies()):
            study = optuna.load_study(study_name=_STUDY, storage=storage)
        else:
            study = optuna.create_study(study_name=_STUDY, storage=storage, direction="maximize")
    except (ValueError, KeyError) as error:
        raise DataError(
            f"{journal}: is no study that can be read ({error}); delete it to search again"
        ) from None
    made = study.user_attrs
    changed = [name for name, value in about.items() if made.get(name, value) != value]
    if changed:
        raise DriftError(f"{journal}: was made with another {', '.join(changed)}; delete it to search again")
    for name, value in about.items():
        if name not in made:
            study.set_user_attr(name, value)
    return study


def _distributions(optuna: Any, space: Space) -> dict[str, Any]:
    kinds = optuna.distributions
    return {
        name: kinds.FloatDistribution(draw.low, draw.high, log=draw.log)
        if isinstance(draw, Uniform)
        else kinds.IntDistribution(draw.low, draw.high)
        for name, draw in space.items()
    }


def _plain(space: Space) -> dict[str, Any]:
    return {name: dataclasses.asdict(draw) for name, draw in space.items()}
