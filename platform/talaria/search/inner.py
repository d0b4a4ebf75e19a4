"""The inner search: Optuna over post-processing on stored raw predictions; a trial costs milliseconds.

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

Objective = Callable[[PostprocessConfig], float]
"""From post-processing to what it is worth, such as average mAP; higher is better."""

_STUDY = "postprocess"


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


@dataclass(frozen=True)
class InnerResult:
    """The best settings found.

    Attributes:
        config: as given where no trial was better.
        value: what they are worth.
        num_trials: finished trials behind it.
    """

    config: PostprocessConfig
    value: float
    num_trials: int


def search_postprocess(
    objective: Objective,
    base: PostprocessConfig,
    *,
    trials: int,
    seed: int,
    journal: Path,
    identity: str,
    space: Space = SPACE,
) -> InnerResult:
    """Find post-processing settings, or go on finding where a killed search stopped.

    Args:
        objective: deterministic, or a resumed search could end elsewhere.
        base: the recipe's settings; fields outside `space` stay, and the result is never worse than these.
        trials: finished trials in the end.
        seed: of all draws.
        journal: the study's file, made if absent.
        identity: stands for everything that decides the objective's values (members, videos, fold).
        space: what to search.

    Raises:
        DriftError: the journal is of another search.
        DataError: the journal is damaged.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    about = {"identity": identity, "seed": seed, "base": dataclasses.asdict(base), "space": _plain(space)}
    kept = _opened(optuna, journal, about)
    study = optuna.create_study(direction="maximize", study_name=_STUDY)
    study.add_trials(kept.get_trials(deepcopy=False)[:trials])
    for number in range(len(study.trials), trials):
        study.sampler = optuna.samplers.TPESampler(seed=content_seed(seed, number) % 2**32)
        trial = study.ask(_distributions(optuna, space))
        value = objective(dataclasses.replace(base, **trial.params))
        kept.add_trial(study.tell(trial, value))
    return _best(study.trials, objective, base)


def _best(trials: list[Any], objective: Objective, base: PostprocessConfig) -> InnerResult:
    """The best trial, the first of equal ones, if it is better than the settings that were given."""
    value, config = objective(base), base
    for trial in trials:
        if trial.value > value:
            value, config = trial.value, dataclasses.replace(base, **trial.params)
    return InnerResult(config, value, len(trials))


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
