"""Earlier trials: those judged on the same count as finished, the best others are tried first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from talaria.search.trials import TrialResult
from talaria.search.warm_start import EarlierTrial, fits, keep_warm_start, kept_warm_start, warm_start
from unit.search.searches import LAYERS, LR, WINDOW, result, section


def earlier(judged_on: str, trial: TrialResult) -> EarlierTrial:
    """As another search, of the detector `other`, left it in MLflow."""
    values = {path.removeprefix("detectors.bmn."): value for path, value in trial.values.items()}
    read = EarlierTrial.read(f"run/{trial.name}", EarlierTrial(judged_on, replace(trial, values=values)).text)
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("values", "fit"),
    [
        ({LR: 0.01, LAYERS: 0}, True),
        ({LR: 0.01, LAYERS: 1, WINDOW: 3}, True),
        ({LR: 0.01, LAYERS: 1}, False),
        ({LR: 0.01, LAYERS: 0, WINDOW: 3}, False),
        ({LR: 1.0, LAYERS: 0}, False),
        ({LR: 0.01, LAYERS: 2}, False),
        ({LR: 0.01, LAYERS: 0, "detectors.bmn.model.groups": 4}, False),
        ({LAYERS: 0}, False),
        ({}, False),
    ],
)
def test_values_fit_if_a_trial_could_draw_them(values: dict[str, Any], fit: bool) -> None:
    assert fits(values, section()) is fit


def test_trials_are_parted_by_what_they_were_judged_on() -> None:
    same = [earlier("here", result(0, 0.1, 0.3)), earlier("here", result(1, 0.2, status="stopped"))]
    others = [earlier("there", result(number, 0.1 * number)) for number in range(2, 7)]
    unfit = [earlier("here", result(7, 0.9, values={LR: 5.0, LAYERS: 0}))]
    found = warm_start([*same, *others, *unfit, *same], section(), "here")
    assert [(one.name, one.values[LR], one.scores, one.status, one.own) for one in found.finished] == [
        ("run/trial_00000", 0.001, (0.1, 0.3), "finished", False),
        ("run/trial_00001", 0.002, (0.2,), "stopped", False),
    ]
    assert [values[LR] for values in found.first] == pytest.approx([0.007, 0.006, 0.005])


def test_a_warm_start_is_kept_for_a_search_that_goes_on(tmp_path: Path) -> None:
    assert kept_warm_start(tmp_path) is None
    found = warm_start([earlier("here", result(0, 0.1)), earlier("x", result(1, 0.2))], section(), "here")
    keep_warm_start(tmp_path, found)
    assert kept_warm_start(tmp_path) == found


@pytest.mark.parametrize(
    "text", ["", "yes", "[1]", "{}", '{"judged_on": "x"}', '{"judged_on": "x", "odd": 1}']
)
def test_a_tag_of_something_else_is_passed_over(text: str) -> None:
    assert EarlierTrial.read("n", text) is None


def test_a_trial_of_very_many_epochs_fits_into_a_tag_and_keeps_its_last_score() -> None:
    read = earlier("here", result(0, *[1 / 3 + epoch for epoch in range(1000)]))
    assert read.result.score == 1 / 3 + 999
