"""What a search leaves: a table of its trials, and a recipe that reproduces the best."""

from __future__ import annotations

import json

import pytest
from by_hand import FullRun, Home, stamps

from talaria.config.loading import load_recipe

pytestmark = pytest.mark.timeout(400)


def test_a_sweep_shows_its_trials_and_does_nothing_twice(undisturbed: FullRun) -> None:
    before = stamps(undisturbed.home.folder())
    ended = undisturbed.home.run("sweep")
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout
    assert "micro: 2 trials of detectors.bmn16, average mAP of proposals on held-out videos, in %" in said
    for words in ("trial_00000", "trial_00001", "optim.lr", "GFLOP", "best", "nothing was done again"):
        assert words in said
    assert stamps(undisturbed.home.folder()) == before


def test_the_best_trial_is_a_recipe_that_reproduces_it(undisturbed: FullRun) -> None:
    home = undisturbed.home
    recipe = home.folder() / "search/bmn16/best.yaml"
    (best, *_) = json.loads((recipe.parent / "best.json").read_text())
    config = load_recipe(recipe)
    assert config.search is None
    lr = best["values"]["detectors.bmn16.optim.lr"]
    assert {node.optim.lr for node in config.detectors.values()} == {lr}
    before = stamps(home.folder(), "train/**/*")
    ended = home.run("train", recipe=recipe)
    assert ended.returncode == 0, ended.stderr
    assert "train: finished earlier, skipped" in ended.stdout, (
        "these are the trainings that the search led to"
    )
    assert stamps(home.folder(), "train/**/*") == before


def test_a_recipe_without_a_search_cannot_be_swept(home: Home) -> None:
    ended = home.run("sweep", "--set", "search=null")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: search: missing; expected a section such as that of")
