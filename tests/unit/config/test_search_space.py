"""A search space is judged when the recipe loads: paths, kinds of distribution, values at the ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_recipe import changed, problems, written

from talaria.config.loading import load_recipe
from talaria.config.space import with_values
from talaria.errors import ConfigError


def recipe(folder: Path, space: dict[str, Any], **section: Any) -> Path:
    search = {"detector": "bmn", "features": "slowfast", "space": space, **section}
    return written(folder, changed({"search": search}))


REFUSED = {
    ("optim.ler", "uniform", 0.1, 0.2): "optim.ler: no setting of detectors.bmn; did you mean optim.lr?",
    ("zzz", "uniform", 0.1, 0.2): "zzz: no setting of detectors.bmn; expected one of model.num_snippets, ",
    ("features", "uniform", 0.1, 0.2): "features: no setting of detectors.bmn; expected one of",
    ("optim", "uniform", 0.1, 0.2): "optim: no setting of detectors.bmn",
    (
        "optim.lr",
        "uniform",
        0,
        1,
    ): "optim.lr: 0.0 may be drawn, but optim.lr: found 0.0; expected a number above 0",
    (
        "optim.momentum",
        "uniform",
        0.5,
        1,
    ): "optim.momentum: 1.0 may be drawn, but optim.momentum: found 1.0; exp",
    (
        "model.num_snippets",
        "uniform",
        8,
        64,
    ): "model.num_snippets: uniform draws fractions, but the setting takes whole numbers; expected type: int",
    ("model.num_snippets", "log_uniform", 8, 64): "model.num_snippets: log_uniform draws fractions",
    (
        "model.hidden_dim_1d",
        "int",
        32,
        36,
    ): "model.hidden_dim_1d: 33 may be drawn, but model.hidden_dim_1d: found "
    "33, expected a multiple of groups=4",
    (
        "model.sampling",
        "uniform",
        0,
        1,
    ): "model.sampling: 0.0 may be drawn, but model.sampling: found 0.0; expected",
    ("optim.lr", "uniform", 2, 1): "optim.lr.low: found 2; expected less than high, 1",
    ("optim.lr", "log_uniform", 0, 1): "optim.lr.low: found 0; expected a number above 0 for log_uniform",
    ("optim.epochs", "int", 1.5, 3): "optim.epochs.low: found 1.5; expected a whole number for type int",
    (
        "optim.lr",
        "normal",
        1,
        2,
    ): "optim.lr.type: found 'normal'; expected 'uniform', 'log_uniform', 'int' or 'ch",
}


@pytest.mark.parametrize("case", REFUSED, ids=[f"{c[0]} {c[1]}" for c in REFUSED])
def test_what_cannot_be_drawn_is_told(tmp_path: Path, case: tuple[str, str, float, float]) -> None:
    path, kind, low, high = case
    found = problems(recipe(tmp_path, {path: {"type": kind, "low": low, "high": high}}))
    assert found[0].startswith(f"recipe.yaml: search.space.{REFUSED[case]}")


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    space = {
        "optim.ler": {"type": "uniform", "low": 0, "high": 1},
        "model.num_samples": {"type": "choice", "choices": [0, 4, "a"]},
        "optim.weight_decay": {"type": "uniform", "low": -2, "high": -1},
        "optim.lr": {"type": "log_uniform", "low": 0.1, "high": 1},
    }
    assert [line.split(": ")[1:3] for line in problems(recipe(tmp_path, space))] == [
        ["search.space.model.num_samples", "0 may be drawn, but model.num_samples"],
        ["search.space.model.num_samples", "'a' may be drawn, but model.num_samples"],
        ["search.space.optim.ler", "no setting of detectors.bmn; did you mean optim.lr?"],
        ["search.space.optim.weight_decay", "-2.0 may be drawn, but optim.weight_decay"],
        ["search.space.optim.weight_decay", "-1.0 may be drawn, but optim.weight_decay"],
    ]


def test_values_must_suit_every_detector_that_takes_them(tmp_path: Path) -> None:
    path = recipe(
        tmp_path,
        {"model.groups": {"type": "choice", "choices": [64]}},
        apply_to=["bmn_long"],
    )
    assert len(problems(path)) == 1, "64 groups suit bmn_long's 256 channels, but not the 32 of bmn"


def test_integer_range_and_choice_on_a_number_are_fine(tmp_path: Path) -> None:
    space = {
        "optim.lr": {"type": "int", "low": 1, "high": 2},
        "model.boundary_ratio": {"type": "choice", "choices": [0, 0.5]},
        "optim.epochs": {"type": "int", "low": 1, "high": 100000},
        "optim.name": {"type": "choice", "choices": ["sgd", "adamw"]},
    }
    assert load_recipe(recipe(tmp_path, space)).search is not None


def test_with_values_replaces_and_refuses(tmp_path: Path) -> None:
    config = load_recipe(recipe(tmp_path, {"optim.lr": {"type": "uniform", "low": 0.1, "high": 1}}))
    node = config.detectors["bmn"]
    new = with_values(node, {"optim.lr": 0.25, "model.num_snippets": 24})
    assert (new.optim.lr, new.model.num_snippets, new.model.hidden_dim_1d) == (0.25, 24, 32)
    assert with_values(node, {}) == node
    with pytest.raises(ConfigError, match=r"model\.num_snippets: found 2\.5; expected a whole number"):
        with_values(node, {"model.num_snippets": 2.5})
    with pytest.raises(ConfigError, match=r"model\.snippets: unknown field"):
        with_values(node, {"model.snippets": 2})


def test_search_names_are_checked(tmp_path: Path) -> None:
    space = {"optim.lr": {"type": "uniform", "low": 0.1, "high": 1}}
    path = recipe(tmp_path, space, detector="bnm", features="slow", apply_to=["x"])
    assert [line.split(": ")[1] for line in problems(path)] == [
        "search.detector",
        "search.apply_to",
        "search.features",
    ]
