"""A search space is judged when the recipe loads: paths, kinds of distribution, values at the ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_recipe import changed, problems, written

from talaria.config.loading import load_recipe, save_recipe
from talaria.config.space import with_found, with_values
from talaria.errors import ConfigError


def below(settings: dict[str, Any]) -> dict[str, Any]:
    """A space of settings of the detector `bmn`."""
    return {f"detectors.bmn.{path}": distribution for path, distribution in settings.items()}


def recipe(folder: Path, space: dict[str, Any], **section: Any) -> Path:
    search = {"target": "detectors.bmn", "features": "slowfast", "space": space, **section}
    return written(folder, changed({"search": search}))


REFUSED = {
    ("optim.ler", "uniform", 0.1, 0.2): ": no setting that a search of detectors.bmn draws; did you mean "
    "detectors.bmn.optim.lr?",
    ("features", "uniform", 0.1, 0.2): ": no setting that a search of detectors.bmn draws; did you mean",
    ("optim", "uniform", 0.1, 0.2): ": no setting that a search of detectors.bmn draws",
    ("optim.epochs", "int", 1, 3): ": no setting that a search of detectors.bmn draws",
    ("optim.lr", "uniform", 0, 1): ": 0.0 may be drawn, but optim.lr: found 0.0; expected a number above 0",
    ("optim.momentum", "uniform", 0.5, 1): ": 1.0 may be drawn, but optim.momentum: found 1.0; exp",
    (
        "model.num_snippets",
        "uniform",
        8,
        64,
    ): ": uniform draws fractions, but the setting takes whole numbers; expected type: int",
    ("model.num_snippets", "log_uniform", 8, 64): ": log_uniform draws fractions",
    (
        "model.hidden_dim_1d",
        "int",
        32,
        36,
    ): ": 33 may be drawn, but model.hidden_dim_1d: found 33, expected a multiple of groups=4",
    ("model.sampling", "uniform", 0, 1): ": 0.0 may be drawn, but model.sampling: found 0.0; expected",
    ("optim.lr", "uniform", 2, 1): ".low: found 2; expected less than high, 1",
    ("optim.lr", "log_uniform", 0, 1): ".low: found 0; expected a number above 0 for log_uniform",
    ("model.num_snippets", "int", 1.5, 3): ".low: found 1.5; expected a whole number for type int",
    ("optim.lr", "normal", 1, 2): ".type: found 'normal'; expected 'uniform', 'log_uniform', 'int' or 'ch",
}


@pytest.mark.parametrize("case", REFUSED, ids=[f"{c[0]} {c[1]}" for c in REFUSED])
def test_what_cannot_be_drawn_is_told(tmp_path: Path, case: tuple[str, str, float, float]) -> None:
    path, kind, low, high = case
    found = problems(recipe(tmp_path, below({path: {"type": kind, "low": low, "high": high}})))
    assert found[0].startswith(f"recipe.yaml: search.space.detectors.bmn.{path}{REFUSED[case]}")


def test_all_wrong_values_are_told_at_once(tmp_path: Path) -> None:
    space = below(
        {
            "model.num_samples": {"type": "choice", "choices": [0, 4, "a"]},
            "optim.weight_decay": {"type": "uniform", "low": -2, "high": -1},
            "optim.lr": {"type": "log_uniform", "low": 0.1, "high": 1},
        }
    )
    assert [line.split(": ")[1:3] for line in problems(recipe(tmp_path, space))] == [
        ["search.space.detectors.bmn.model.num_samples", "0 may be drawn, but model.num_samples"],
        ["search.space.detectors.bmn.model.num_samples", "'a' may be drawn, but model.num_samples"],
        ["search.space.detectors.bmn.optim.weight_decay", "-2.0 may be drawn, but optim.weight_decay"],
        ["search.space.detectors.bmn.optim.weight_decay", "-1.0 may be drawn, but optim.weight_decay"],
    ]


def test_all_wrong_paths_are_told_at_once(tmp_path: Path) -> None:
    draw = {"type": "uniform", "low": 0.1, "high": 0.2}
    paths = ["optim.lr", "detectors.bmn_long.optim.lr", "detectors.bmn.optim.ler", "postprocess.alfa"]
    assert [line.split("; ")[1] for line in problems(recipe(tmp_path, dict.fromkeys(paths, draw)))] == [
        "did you mean detectors.bmn.optim.lr?",
        "did you mean detectors.bmn.optim.lr?",
        "did you mean detectors.bmn.optim.lr?",
        "did you mean postprocess.alpha?",
    ]


def test_post_processing_is_drawn_beside_settings_of_the_target_alone(tmp_path: Path) -> None:
    draw = {"type": "uniform", "low": 0.1, "high": 1}
    both = {"detectors.bmn.optim.lr": draw, "postprocess.alpha": draw}
    assert load_recipe(recipe(tmp_path, both)).search is not None
    (found,) = problems(recipe(tmp_path, {"postprocess.alpha": draw}))
    assert "search.space: found no path below detectors.bmn; post-processing alone is searched by" in found
    (found,) = problems(recipe(tmp_path, {**both, "postprocess.class_power": draw}))
    assert "postprocess.class_power: no setting that a search of detectors.bmn draws" in found
    (found,) = problems(recipe(tmp_path, {**both, "postprocess.low": {**draw, "high": 2}}))
    assert "postprocess.low: 2.0 may be drawn, but postprocess.low: found 2.0" in found


def test_values_must_suit_every_detector_that_takes_them(tmp_path: Path) -> None:
    path = recipe(
        tmp_path,
        below({"model.groups": {"type": "choice", "choices": [64]}}),
        apply_to=["bmn_long"],
    )
    assert len(problems(path)) == 1, "64 groups suit bmn_long's 256 channels, but not the 32 of bmn"


def test_integer_range_and_choice_on_a_number_are_fine(tmp_path: Path) -> None:
    space = below(
        {
            "optim.lr": {"type": "int", "low": 1, "high": 2},
            "model.boundary_ratio": {"type": "choice", "choices": [0, 0.5]},
            "optim.micro_batch_size": {"type": "int", "low": 1, "high": 100000},
            "optim.name": {"type": "choice", "choices": ["sgd", "adamw"]},
        }
    )
    assert load_recipe(recipe(tmp_path, space)).search is not None


def test_with_values_replaces_and_refuses(tmp_path: Path) -> None:
    config = load_recipe(recipe(tmp_path, below({"optim.lr": {"type": "uniform", "low": 0.1, "high": 1}})))
    node = config.detectors["bmn"]
    new = with_values(node, {"optim.lr": 0.25, "model.num_snippets": 24})
    assert (new.optim.lr, new.model.num_snippets, new.model.hidden_dim_1d) == (0.25, 24, 32)
    assert with_values(node, {}) == node
    with pytest.raises(ConfigError, match=r"model\.num_snippets: found 2\.5; expected a whole number"):
        with_values(node, {"model.num_snippets": 2.5})
    with pytest.raises(ConfigError, match=r"model\.snippets: unknown field"):
        with_values(node, {"model.snippets": 2})


def test_found_values_go_to_the_nodes_that_take_them_and_to_postprocess(tmp_path: Path) -> None:
    draw = {"type": "uniform", "low": 0.1, "high": 1}
    space = {"detectors.bmn.optim.lr": draw, "postprocess.alpha": draw}
    config = load_recipe(recipe(tmp_path, space, apply_to=["bmn_long"]))
    found = with_found(config, {"detectors.bmn.optim.lr": 0.25, "postprocess.alpha": 0.75})
    assert (found.detectors["bmn_long"].optim.lr, found.postprocess.alpha) == (0.25, 0.75)
    assert found.detectors["bmn"] == config.detectors["bmn"]
    save_recipe(found.model_copy(update={"search": None}), tmp_path / "best.yaml", "the best")
    assert load_recipe(tmp_path / "best.yaml") == found.model_copy(update={"search": None})


def test_search_names_are_checked(tmp_path: Path) -> None:
    space = below({"optim.lr": {"type": "uniform", "low": 0.1, "high": 1}})
    path = recipe(tmp_path, space, target="detectors.bnm", features="slow", apply_to=["x"])
    assert [line.split(": ", 1)[1] for line in problems(path)] == [
        "search.target: 'detectors.bnm' is not in the recipe; did you mean detectors.bmn?",
        "search.apply_to: 'x' is not in detectors; expected one of bmn, bmn_long",
        "search.features: 'slow' is no backbone; expected one of slowfast",
    ]
    (found,) = problems(recipe(tmp_path, space, target="backbones.slowfast"))
    assert "search.target: found 'backbones.slowfast'; expected detectors.<name>, refiners.<name> or" in found


OBJECTIVES = {
    "objectives: found ['cost']; expected [score] or [score, cost]": {"objectives": ["cost"]},
    "objectives: found ['score', 'score']; expected": {"objectives": ["score", "score"]},
    "objectives.0: found 'map'; expected 'score' or 'cost'": {"objectives": ["map"]},
    "max_gflop: has no effect on one objective; expected objectives: [score, cost]": {"max_gflop": 2.0},
    "max_gflop: found 0; expected a number above 0": {"objectives": ["score", "cost"], "max_gflop": 0},
    "workers_per_trial: found 0; expected a number of at least 1": {"workers_per_trial": 0},
}


@pytest.mark.parametrize("sentence", OBJECTIVES)
def test_objectives_are_checked(tmp_path: Path, sentence: str) -> None:
    space = below({"optim.lr": {"type": "uniform", "low": 0.1, "high": 1}})
    (found,) = problems(recipe(tmp_path, space, **OBJECTIVES[sentence]))
    assert found.startswith(f"recipe.yaml: search.{sentence}")


def test_a_search_with_a_target_replaces_that_of_the_base(tmp_path: Path) -> None:
    draw = {"type": "uniform", "low": 0.1, "high": 1}
    recipe(tmp_path, below({"optim.lr": draw}), num_trials=3).rename(tmp_path / "below.yaml")
    space = {"classifiers.video.optim.lr": draw}
    search = {"target": "classifiers.video", "features": "slowfast", "space": space}
    above = load_recipe(written(tmp_path, {"base": "below.yaml", "search": search}, "above.yaml")).search
    assert above is not None
    assert (list(above.space), above.num_trials) == (list(space), 8)
    more = load_recipe(
        written(tmp_path, {"base": "below.yaml", "search": {"num_trials": 5}}, "more.yaml")
    ).search
    assert more is not None
    assert (more.target, more.num_trials) == ("detectors.bmn", 5)
