"""Which of several trials is the best: by score, or by score among those that cost no more than allowed.

A stopped trial lost to others after as many epochs, whatever these came to later: it stands behind all that
ran to their end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from talaria.config.search import SearchSection
from talaria.errors import StageError
from talaria.search.trials import TrialResult


def ranked(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """The better score first, stopped and failed ones last; equal scores by their values."""
    return sorted(trials, key=_rank)


def front(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """The trials that no other beats in score and cost at once, the best score first.

    Stopped trials are on it only where none ran to its end.
    """
    found: list[TrialResult] = []
    for trial in sorted(_eligible(trials), key=lambda trial: (_rank(trial)[:2], _gflop(trial), _rank(trial))):
        if not found or _gflop(trial) < _gflop(found[-1]):
            found.append(trial)
    return found


def best(trials: Sequence[TrialResult], section: SearchSection) -> TrialResult:
    """The trial that the search found.

    Raises:
        StageError: no trial has a score, or each costs more than `max_gflop`.
    """
    scored = _eligible(trials)
    if not scored:
        reasons = "; ".join(dict.fromkeys(trial.reason for trial in trials))
        raise StageError(f"search: none of {len(trials)} trials finished: {reasons}")
    if len(section.objectives) == 1:
        return ranked(scored)[0]
    limit = section.max_gflop
    for trial in front(scored):
        if limit is None or _gflop(trial) <= limit:
            return trial
    raise StageError(
        f"search.max_gflop: found {limit:g}, but the cheapest of {len(scored)} trials costs "
        f"{min(map(_gflop, scored)):.3g} GFLOP; raise it"
    )


def _eligible(trials: Sequence[TrialResult]) -> list[TrialResult]:
    finished = [trial for trial in trials if trial.status == "finished"]
    return finished or [trial for trial in trials if trial.status == "stopped"]


def _rank(trial: TrialResult) -> tuple[int, float, str]:
    group = ("finished", "stopped", "failed").index(trial.status)
    return group, -(trial.score or 0.0), json.dumps(trial.values, sort_keys=True)


def _gflop(trial: TrialResult) -> float:
    assert trial.gflop is not None, "a scored trial has a cost"
    return trial.gflop
