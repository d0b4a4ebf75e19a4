"""What lies on disk: base files, unreadable files, YAML that is not what it seems."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from small_recipe import SMALL, changed, problems, written

from talaria.config.loading import load_recipe
from talaria.config.yaml_text import YamlTextError, parse_yaml

NOT_RECIPES = {
    "empty": (b"", "recipe.yaml: is empty; expected the sections run, data, backbones"),
    "only a comment": (b"# nothing\n", "recipe.yaml: is empty; expected the sections run"),
    "a list": (b"- 1\n- 2\n", "recipe.yaml: holds [1, 2]; expected the sections run"),
    "text": (b"hello", "recipe.yaml: holds 'hello'; expected the sections run"),
    "not UTF-8": (b"run: \xe9", "recipe.yaml: is not UTF-8 text; expected a recipe in YAML"),
    "a NUL": (b"run: \0", "recipe.yaml: is not YAML: unacceptable character"),
    "an open bracket": (b"a: [1\nb: 2", "recipe.yaml: line 2, column 2: is not YAML: while parsing"),
    "a tab": (
        b"a:\n\tb: 1",
        "recipe.yaml: line 2, column 1: is not YAML: a tab; YAML is indented with spaces",
    ),
    "two documents": (
        b"a: 1\n---\nb: 1",
        "recipe.yaml: line 2, column 1: is not YAML: expected a single document",
    ),
    "an endless alias": (
        b"a: &a {b: *a}",
        "recipe.yaml: line 1: an alias refers to the block that it stands in",
    ),
    "an object": (b"a: !!python/object:os.system x", "recipe.yaml: line 1: tag !!python/object:os.system"),
    "a number as key": (b"a: {1: 2}", "recipe.yaml: line 1: key '1' is not text; put it in quotes"),
}


@pytest.mark.parametrize("name", NOT_RECIPES)
def test_a_file_that_is_no_recipe_gives_one_sentence(tmp_path: Path, name: str) -> None:
    content, sentence = NOT_RECIPES[name]
    (tmp_path / "recipe.yaml").write_bytes(content)
    found = problems(tmp_path / "recipe.yaml")
    assert len(found) == 1
    assert found[0].startswith(f"{tmp_path}/{sentence}")


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    assert problems(tmp_path / "absent.yaml")[0].startswith(
        f"{tmp_path}/absent.yaml: cannot be read (No such file"
    )
    assert problems(tmp_path)[0].startswith(f"{tmp_path}: cannot be read (Is a directory)")


def test_keys_given_twice_are_all_named_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("run: {name: a}\nrun: {name: b}\nx:\n  y: 1\n  y: 2\n")
    assert problems(path) == [
        f"{path}: line 2: key 'run' is given twice, first on line 1; keep one",
        f"{path}: line 5: key 'y' is given twice, first on line 4; keep one",
    ]


def test_merge_keys_may_be_overridden_and_reused() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, x: 3}\n"
    assert parse_yaml(text) == {"a": {"x": 1, "y": 1}, "b": {"x": 1, "y": 2}, "c": {"x": 3, "y": 2}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4), ("1e5", 100000), ("1.5e2", 150.0), ("-2E+3", -2000), (".5", 0.5), ("1.", 1.0),
        ("-7", -7), (".inf", math.inf), ("true", True), ("False", False), ("null", None), ("~", None),
        ("", None), ("yes", "yes"), ("no", "no"), ("on", "on"), ("2024-01-01", "2024-01-01"),
        ("1:30", "1:30"), ("010", "010"), ("1_000", "1_000"), ("inf", "inf"), ("'3e-4'", "3e-4"),
        ('"true"', "true"), ("a=b", "a=b"),
    ],
)  # fmt: skip
def test_scalars_read_as_people_mean_them(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_a_fault_of_the_text_is_an_error_of_its_own() -> None:
    with pytest.raises(YamlTextError, match="line 1, column"):
        parse_yaml("[1, 2")


def test_a_base_lies_below_its_recipe(tmp_path: Path) -> None:
    written(tmp_path, changed({"detectors/bmn/features": ["slowfast"], "run/seed": 3}), "below.yaml")
    over = {"base": "below.yaml", "run": {"name": "over"}, "detectors": {"bmn": {"features": []}}}
    config = load_recipe(written(tmp_path, over))
    assert (config.run.name, config.run.seed) == ("over", 3)
    assert config.detectors["bmn"].features == ()
    assert config.detectors["bmn"].model.num_snippets == 16


def test_a_base_is_found_beside_its_recipe_not_beside_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep").mkdir()
    written(tmp_path, SMALL, "below.yaml")
    path = written(tmp_path / "deep", {"base": "../below.yaml"})
    monkeypatch.chdir("/")
    assert load_recipe(path).run.name == "small"


@pytest.mark.parametrize(
    ("base", "sentence"),
    [
        (
            "absent.yaml",
            "absent.yaml: cannot be read (No such file or directory); recipe.yaml names it as its base",
        ),
        (["a"], 'recipe.yaml: base: found ["a"]; expected the name of a recipe beside this one'),
        (None, "recipe.yaml: base: found nothing; expected the name of a recipe beside this one"),
        ("recipe.yaml", "recipe.yaml: base: recipe.yaml has a base itself; expected a file without one"),
        ("chained.yaml", "recipe.yaml: base: chained.yaml has a base itself; expected a file without one"),
    ],
)
def test_a_base_that_cannot_be_used_gives_one_sentence(tmp_path: Path, base: object, sentence: str) -> None:
    written(tmp_path, {"base": "recipe.yaml"}, "chained.yaml")
    found = problems(written(tmp_path, {**SMALL, "base": base}))
    assert [line.removeprefix(f"{tmp_path}/") for line in found] == [sentence]


def test_a_mistake_is_blamed_on_the_file_that_holds_it(tmp_path: Path) -> None:
    written(tmp_path, changed({"run/sed": 3, "run/seed": -1, "detectors/bmn/optim": {"lr": 1}}), "below.yaml")
    path = written(tmp_path, {"base": "below.yaml", "run": {"seed": -2}})
    assert problems(path, "detectors.bmn.optim.lr=-3") == [
        "recipe.yaml: run.seed: found -2; expected a number of at least 0",
        "below.yaml: run.sed: unknown field; did you mean seed?",
        "--set: detectors.bmn.optim.lr: found -3; expected a number above 0",
    ]
