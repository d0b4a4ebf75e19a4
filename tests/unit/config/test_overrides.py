"""--set: dotted paths and YAML values laid over a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_recipe import SMALL, changed, problems, written

from talaria.config.loading import load_recipe

SPACE = {"detectors.bmn.optim.lr": {"type": "log_uniform", "low": 1e-4, "high": 1e-2}}
SEARCH = {"target": "detectors.bmn", "features": "slowfast", "space": SPACE}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return written(tmp_path, changed({"search": SEARCH}))


def at(recipe: Path, path: str, *flags: str) -> Any:
    value: Any = load_recipe(recipe, flags)
    for part in path.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


@pytest.mark.parametrize(
    ("flag", "path", "value"),
    [
        ("detectors.bmn.optim.lr=3e-4", "detectors.bmn.optim.lr", 3e-4),
        ("detectors.bmn.optim.lr=1", "detectors.bmn.optim.lr", 1.0),
        ("detectors.bmn.optim.epochs=1e2", "detectors.bmn.optim.epochs", 100),
        ("run.name='12'", "run.name", "12"),
        ('run.name="a.b"', "run.name", "a.b"),
        ("run.name=inf", "run.name", "inf"),
        ("run.name=on", "run.name", "on"),
        (" run.name = spaced", "run.name", "spaced"),
        (
            "ensemble.members=tags.a = 'b' and params.c = '1'",
            "ensemble.members",
            "tags.a = 'b' and params.c = '1'",
        ),
        ("search=null", "search", None),
        ("backbones.slowfast.finetune.flip=true", "backbones.slowfast.finetune.flip", True),
        ("detectors.bmn.features=[slowfast]", "detectors.bmn.features", ("slowfast",)),
        ("detectors.bmn={optim: {lr: 2}}", "detectors.bmn.optim.lr", 2.0),
        ("detectors.bmn={optim: {lr: 2}}", "detectors.bmn.model.num_snippets", 16),
        ("detectors.new={model: {name: bmn, num_snippets: 8}}", "detectors.new.model.num_snippets", 8),
        ("resources.train_workers=2", "resources.train_workers", 2),
    ],
)
def test_a_flag_sets_its_path(recipe: Path, flag: str, path: str, value: object) -> None:
    found = at(recipe, path, flag)
    assert found == value
    assert type(found) is type(value)


def test_of_two_flags_for_one_path_the_later_wins(recipe: Path) -> None:
    assert at(recipe, "run.seed", "run.seed=1", "run.seed=2") == 2


def test_a_search_space_is_reached_through_its_dotted_keys(recipe: Path) -> None:
    config = load_recipe(recipe, ["search.space.detectors.bmn.optim.lr.low=1e-5"])
    assert config.search is not None
    assert config.search.space["detectors.bmn.optim.lr"].low == 1e-5
    assert config.search.space["detectors.bmn.optim.lr"].high == 1e-2


def test_a_node_added_by_one_flag_can_be_changed_by_the_next(recipe: Path) -> None:
    flags = ("detectors.new={model: {name: bmn}}", "detectors.new.optim.epochs=3")
    assert at(recipe, "detectors.new.optim.epochs", *flags) == 3


REFUSED = {
    "run.seed": "--set run.seed: expected PATH=VALUE, such as detectors.bmn64.optim.lr=3e-4",
    "=3": "--set =3: expected PATH=VALUE",
    "run..seed=3": "--set run..seed=3: expected PATH=VALUE",
    "detectors.bmm.optim.lr=3": "--set detectors.bmm.optim.lr=3: the recipe has no detectors.bmm; did you",
    "detectors.bmn.optim.lrr=3": "--set: detectors.bmn.optim.lrr: unknown field; did you mean lr?",
    "rnu.seed=3": "--set: rnu: unknown field; did you mean run?",
    "run.seed=": "--set: run.seed: found nothing; expected a whole number",
    "run.seed=a=b": "--set: run.seed: found 'a=b'; expected a whole number",
    "run.seed='3'": "--set: run.seed: found '3'; expected a whole number",
    "run.seed=[3]": "--set: run.seed: found [3]; expected a whole number",
    "run.seed.x=3": "--set: run.seed: found a section; expected a whole number",
    "run.name=12": "--set: run.name: found 12; expected text; put it in quotes",
    "run=null": "--set: run: found nothing; expected a section with name, root, seed",
    "run.name=[a": "--set run.name=[a: the value cannot be read (line 1, column 3",
}


@pytest.mark.parametrize("flag", REFUSED)
def test_a_flag_that_cannot_be_taken_gives_one_sentence(recipe: Path, flag: str) -> None:
    found = problems(recipe, flag)
    assert len(found) == 1
    assert found[0].startswith(REFUSED[flag])


def test_flags_and_recipe_are_judged_together(tmp_path: Path) -> None:
    path = written(tmp_path, {**SMALL, "extra": 1})
    assert [line.split(":")[0] for line in problems(path, "run.seed", "run.seed=x")] == [
        "--set run.seed",
        "--set",
        "recipe.yaml",
    ]
