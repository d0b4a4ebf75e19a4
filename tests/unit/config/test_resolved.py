"""The resolved config beside every output, and the fingerprints taken of settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_recipe import SMALL, written

from talaria.config.fingerprint import differences, fingerprint, flattened
from talaria.config.loading import load_recipe, load_resolved, save_resolved
from talaria.config.specs import ClipSpec, DemoSpec
from talaria.errors import ConfigError

RECIPES = sorted((Path(__file__).parents[3] / "jobs" / "recipes").glob("*.yaml"))
OWN_DATA = ("data.videos=/videos", "data.annotations=/labels.json")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
@settings(max_examples=20, deadline=None)
@given(
    lr=st.floats(1e-12, 1e3),
    seed=st.integers(0, 2**70),
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True),
)
def test_every_recipe_loads_back_equal(
    tmp_path_factory: pytest.TempPathFactory, path: Path, lr: float, seed: int, name: str
) -> None:
    config = load_recipe(path, OWN_DATA)
    group = "detectors" if config.detectors else "end_to_end"
    name_of, node = next(iter(getattr(config, group).items()))
    changed = node.model_copy(update={"optim": node.optim.model_copy(update={"lr": lr})})
    config = config.model_copy(
        update={
            group: {**getattr(config, group), name_of: changed},
            "run": config.run.model_copy(update={"seed": seed, "name": name}),
        }
    )
    saved = tmp_path_factory.mktemp("resolved") / "recipe.json"
    save_resolved(config, saved)
    assert load_resolved(saved) == config


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ('{"run": {}}', "run.name: missing"),
        ("[]", r"holds \[\]"),
    ],
)
def test_a_damaged_resolved_config_gives_a_sentence(
    tmp_path: Path, content: str | None, sentence: str
) -> None:
    path = tmp_path / "recipe.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=f"recipe.json: {sentence}"):
        load_resolved(path)


def test_settings_cannot_be_changed_after_loading(tmp_path: Path) -> None:
    config = load_recipe(written(tmp_path, SMALL))
    with pytest.raises(ValueError, match="frozen"):
        config.run.seed = 3  # type: ignore[misc]


def test_fingerprints_follow_content_not_order_or_type() -> None:
    assert fingerprint({"a": (1, 2), "b": DemoSpec()}) == fingerprint({"b": DemoSpec(seed=0), "a": [1, 2]})
    assert fingerprint({"a": [1, 2]}) != fingerprint({"a": [2, 1]})
    assert len(fingerprint(ClipSpec(10, 16, 4, 48, 64))) == 16


def test_differences_name_each_setting_with_both_values() -> None:
    made = {"optim": {"lr": 0.1, "name": "sgd"}, "extra": {}, "same": [1]}
    asked = {"optim": {"lr": 0.2, "name": "sgd", "decay": None}, "same": (1,)}
    assert differences(made, asked) == [
        "extra was {}, is now absent",
        "optim.decay was absent, is now None",
        "optim.lr was 0.1, is now 0.2",
    ]
    assert differences(made, made) == []
    assert flattened({"a": {"b": 1, "c": {}}}) == {"a.b": 1, "a.c": {}}


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ((0, 16, 4, 48, 64), ["fps"]),
        ((float("nan"), 16, 4, 48, 64), ["fps"]),
        ((10, 0, 2.5, 48, -1), ["num_frames", "stride_frames", "width"]),
    ],
)
def test_a_clip_that_cannot_be_cut_is_refused_field_by_field(
    values: tuple[int, ...], fields: list[str]
) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        ClipSpec(*values)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == fields


def test_a_demo_set_that_cannot_be_rendered_is_refused() -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        DemoSpec(num_training=2, num_classes=99, min_duration_s=9, max_duration_s=5)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "num_classes",
        "num_training",
        "min_duration_s",
    ]
