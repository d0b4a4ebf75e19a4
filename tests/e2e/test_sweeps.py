"""What a search leaves: a table of its trials, and a recipe that reproduces the best."""

from __future__ import annotations

import json
import shutil

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
    for words in ("trial_00000", "trial_00001", "lr 0.000", "GFLOP", "best", "nothing was done again"):
        assert words in said
    assert stamps(undisturbed.home.folder()) == before


@pytest.mark.slow
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


@pytest.mark.slow
def test_more_trials_continue_a_search_and_too_many_workers_are_refused(
    undisturbed: FullRun, home: Home
) -> None:
    shutil.copytree(undisturbed.home.path, home.path, dirs_exist_ok=True)
    more = ("--set", "search.num_trials=3")
    ended = home.run("sweep", *more, "--set", "search.workers_per_trial=1000")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: search.workers_per_trial: found 1000, but the cluster holds ")
    assert "resources.cpus_per_worker (1)" in ended.stderr
    before = stamps(home.folder(), "search/bmn16/trials/*/result.json")
    ended = home.run("sweep", *more)
    assert ended.returncode == 0, ended.stderr
    assert "micro: 3 trials of detectors.bmn16" in ended.stdout
    after = stamps(home.folder(), "search/bmn16/trials/*/result.json")
    assert before.items() < after.items()
    assert len(after) == 3


def test_a_recipe_without_a_search_cannot_be_swept(home: Home) -> None:
    ended = home.run("sweep", "--set", "search=null")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: search: missing; expected a section such as that of")
