"""Conditional spaces: `when` names settings that are drawn before, and what can never be drawn is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_recipe import changed, problems, written

from talaria.config.loading import load_recipe
from talaria.config.search import Distribution, SearchSection

LAYERS, WINDOW, HEADS = (f"detectors.bmn.model.lgte_{name}" for name in ("layers", "window", "heads"))
LR = "detectors.bmn.optim.lr"
CHOICES: dict[str, Any] = {
    WINDOW: {"type": "choice", "choices": [3, 5], "when": {LAYERS: [1, 2]}},
    HEADS: {"type": "choice", "choices": [2, 4], "when": {WINDOW: 5}},
    LAYERS: {"type": "int", "low": 0, "high": 2},
    LR: {"type": "uniform", "low": 0.1, "high": 1},
}


def recipe(folder: Path, **changes: dict[str, Any]) -> Path:
    """A search over CHOICES; fields of the settings lgte_layers, lgte_window, ... are replaced."""
    paths = {path.rpartition(".")[2]: path for path in CHOICES}
    space = {**CHOICES, **{paths[name]: {**CHOICES[paths[name]], **some} for name, some in changes.items()}}
    search = {"target": "detectors.bmn", "features": "slowfast", "space": space}
    return written(folder, changed({"search": search}))


def section(folder: Path) -> SearchSection:
    found = load_recipe(recipe(folder)).search
    assert found is not None
    return found


def test_a_setting_is_drawn_after_those_that_decide_whether_it_is(tmp_path: Path) -> None:
    order = [path for path, _ in section(tmp_path).drawing_order]
    assert sorted(order) == sorted(CHOICES)
    assert order.index(LAYERS) < order.index(WINDOW) < order.index(HEADS)


def test_a_setting_applies_beside_the_values_that_it_names(tmp_path: Path) -> None:
    window, heads = (section(tmp_path).space[path] for path in (WINDOW, HEADS))
    assert [window.applies({LAYERS: value}) for value in (0, 1, 2)] == [False, True, True]
    assert not window.applies({})
    assert [heads.applies(drawn) for drawn in ({LAYERS: 0}, {LAYERS: 1, WINDOW: 5})] == [False, True]


REFUSED: dict[str, dict[str, dict[str, Any]]] = {
    f"{WINDOW}.when.detectors.bmn.model.lgte_layer: is not drawn by this search; did you mean {LAYERS}?": {
        "lgte_window": {"when": {"detectors.bmn.model.lgte_layer": 1}}
    },
    f"{WINDOW}.when.{LR}: is drawn from a range, which hits no single value": {
        "lgte_window": {"when": {LR: 1}}
    },
    f"{WINDOW}.when.{LAYERS}: found 3, which is never drawn; expected of 0 to 2": {
        "lgte_window": {"when": {LAYERS: [1, 3]}}
    },
    f"{HEADS}.when.{WINDOW}: found 7, which is never drawn; expected of 3, 5": {
        "lgte_heads": {"when": {WINDOW: 7}}
    },
    f"{HEADS}.when.{WINDOW}: found '5', which is never drawn": {"lgte_heads": {"when": {WINDOW: "5"}}},
    f"{HEADS}.when: goes round in a circle: {HEADS} -> {WINDOW} -> {HEADS}; leave one of them out": {
        "lgte_window": {"when": {HEADS: 2}}
    },
    f"{LAYERS}.when: goes round in a circle: {LAYERS} -> {LAYERS}": {"lgte_layers": {"when": {LAYERS: 1}}},
    f"{HEADS}.when: can never hold, as its conditions exclude each other": {
        "lgte_heads": {"when": {WINDOW: 5, LAYERS: 0}}
    },
    f"{WINDOW}.when.{LAYERS}: empty; expected a value or a list of values": {
        "lgte_window": {"when": {LAYERS: []}}
    },
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_conditions_that_cannot_hold_are_refused(tmp_path: Path, sentence: str) -> None:
    found = problems(recipe(tmp_path, **REFUSED[sentence]))
    assert any(line.startswith(f"recipe.yaml: search.space.{sentence}") for line in found), found


def test_values_are_judged_beside_those_that_they_are_drawn_with(tmp_path: Path) -> None:
    assert load_recipe(recipe(tmp_path, lgte_layers={"high": 3})).search is not None
    (found,) = problems(recipe(tmp_path, lgte_heads={"choices": [2, 5]}))
    assert f"{HEADS}: 5 may be drawn with model.lgte_layers 1 and model.lgte_window 5, but" in found
    assert "expected a divisor of hidden_dim_1d=32" in found


def test_a_value_that_asks_for_another_setting_is_fine_if_that_is_drawn_with_it(tmp_path: Path) -> None:
    heads = {"type": "choice", "choices": [4], "when": {"classifiers.video.model.head": "transformer"}}
    space = {
        "classifiers.video.model.head": {"type": "choice", "choices": ["pooling", "transformer"]},
        "classifiers.video.model.num_heads": heads,
    }
    search = {"target": "classifiers.video", "features": "slowfast", "space": space}
    node = {"classifiers/video/model": {"hidden_dim": 36, "num_heads": 8}}
    assert load_recipe(written(tmp_path, changed({"search": search, **node}))).search is not None
    heads["choices"] = [8]
    assert "8 may be drawn with model.head 'transformer'" in " ".join(
        problems(written(tmp_path, changed({"search": search, **node})))
    )


@pytest.mark.parametrize(
    ("value", "held"),
    [(1, True), (1.0, True), (2.5, False), (3, False), (True, False), ("1", False)],
)
def test_what_a_range_of_whole_numbers_holds(value: Any, held: bool) -> None:
    assert Distribution(type="int", low=0, high=2).holds(value) is held


@pytest.mark.parametrize(
    ("value", "held"), [("a", True), (1, True), (1.0, False), (True, False), ("b", False)]
)
def test_what_choices_hold(value: Any, held: bool) -> None:
    assert Distribution(type="choice", choices=("a", 1)).holds(value) is held
