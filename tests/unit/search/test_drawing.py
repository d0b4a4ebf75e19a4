"""What is drawn next: conditional, repeatable by the trial's number, from trials on disk alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from talaria.config.search import SearchSection
from talaria.search.searcher import StudySearch
from talaria.search.trials import TrialFolder
from talaria.search.warm_start import WarmStart, fits
from unit.search.searches import LAYERS, LR, WINDOW, result, section


def searcher(folder: Path, chosen: SearchSection, earlier: WarmStart | None = None) -> StudySearch:
    """As a driver makes it at its start."""
    return StudySearch(chosen, 7, folder, earlier or WarmStart())


def drawn(search: StudySearch, trial_id: str) -> dict[str, Any]:
    """The next trial's number and values."""
    found = search.suggest(trial_id)
    assert found is not None
    return found


def end(search: StudySearch, folder: Path, trial_id: str, number: int, score: float) -> None:
    """A trial reports all its epochs, and Tune tells that it has ended."""
    reports = [{"epoch": epoch + 1, "score": score, "cost": 10 * score} for epoch in range(4)]
    TrialFolder(folder, number).keep(reports, lambda path: None)
    search.on_trial_complete(trial_id, {**reports[-1], "done": True})


def run(folder: Path, chosen: SearchSection, first: int, last: int) -> list[dict[str, Any]]:
    """Trials of one driver, whose score falls with the distance of the learning rate from 0.01."""
    search = searcher(folder, chosen)
    found = []
    for number in range(first, last):
        values = drawn(search, f"t{number}")
        found.append(values)
        end(search, folder, f"t{number}", number, 1 / (1 + abs(values[LR] - 0.01)))
    return found


@pytest.mark.parametrize("objectives", [["score"], ["score", "cost"]])
def test_a_driver_that_begins_anew_draws_what_the_old_one_would_have_drawn(
    tmp_path: Path, objectives: list[str]
) -> None:
    chosen = section(objectives=objectives)
    whole = run(tmp_path / "whole", chosen, 0, 15)
    ends = ((0, 4), (4, 5), (5, 15))
    assert [trial for piece in ends for trial in run(tmp_path / "pieces", chosen, *piece)] == whole
    assert [trial["number"] for trial in whole] == list(range(15))
    assert len({trial[LR] for trial in whole}) == 15


def test_every_draw_fits_the_conditions(tmp_path: Path) -> None:
    trials = run(tmp_path, section(), 0, 15)
    assert all(fits({k: v for k, v in trial.items() if k != "number"}, section()) for trial in trials)
    assert {WINDOW in trial for trial in trials} == {True, False}


def test_trials_that_did_not_end_come_first_with_their_numbers_and_values(tmp_path: Path) -> None:
    chosen = section(max_concurrent=3)
    old = searcher(tmp_path, chosen)
    before = [drawn(old, f"t{number}") for number in range(4)]
    for number in (0, 2):
        end(old, tmp_path, f"t{number}", number, 0.5)
    new = searcher(tmp_path, chosen)
    again = [drawn(new, f"u{number}") for number in range(3)]
    assert again[:2] == [before[1], before[3]]
    assert again[2]["number"] == 4


def test_earlier_trials_are_known_and_the_best_others_are_tried_first(tmp_path: Path) -> None:
    first = {LR: 0.0123, LAYERS: 1, WINDOW: 5}
    finished = tuple(result(number, 0.1, own=False) for number in range(12))
    earlier = WarmStart((*finished, result(12, 0.05, status="stopped", own=False)), (first,))
    search = searcher(tmp_path, section(), earlier)
    assert drawn(search, "a") == {"number": 0, **first}
    second = drawn(search, "b")
    assert second["number"] == 1
    end(search, tmp_path, "a", 0, 0.5)
    assert drawn(searcher(tmp_path, section(), earlier), "c") == second, (
        "it was begun; the point is not repeated"
    )


def test_a_failed_trial_counts_and_teaches_nothing(tmp_path: Path) -> None:
    search = searcher(tmp_path, section())
    drawn(search, "a")
    search.on_trial_complete("a", None, error=True)
    ended = TrialFolder(tmp_path, 0).result()
    assert ended is not None
    assert (ended.status, ended.score) == ("failed", None)
    assert drawn(searcher(tmp_path, section()), "b")["number"] == 1


def test_what_tune_keeps_of_it_can_be_written(tmp_path: Path) -> None:
    search = searcher(tmp_path, section())
    drawn(search, "a")
    search.save(str(tmp_path / "state.pkl"))
    assert (tmp_path / "state.pkl").stat().st_size > 0
