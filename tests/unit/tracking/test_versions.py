"""Members by registered versions: what people set in the registry is what an ensemble takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from talaria.ensemble.members import Member, pick_members
from talaria.errors import ConfigError
from talaria.tracking.mlflow_tracker import PREDICTIONS_TAG, Tracker
from talaria.tracking.reading import FoundRun
from talaria.tracking.versions import Registry


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    """Runs a, b and c with predictions, and one without; versions of `hacs` (a, b), `other` (c), `bare`."""
    home = tmp_path_factory.mktemp("registry")
    tracker = Tracker(f"sqlite:///{home / 'mlflow.db'}", "tal", home / "artifacts")
    for name in ("a", "b", "c"):
        run = tracker.run(name, name, "train", tags={"talaria.model": "bmn"})
        tracker.tag(run, PREDICTIONS_TAG, f"/p/{name}")
    tracker.run("bare", "bare", "train")
    registry = Registry(tracker.server)
    runs = {run.name: run for run in tracker.find_members("tags.talaria.kind = 'train'")}
    registry.register(runs["a"], "hacs", "champion")
    registry.register(runs["b"], "hacs")
    registry.register(runs["c"], "other")
    registry.register(runs["bare"], "bare")
    return tracker


def names(members: tuple[Member, ...]) -> list[tuple[str, str]]:
    return [(member.name, member.predictions) for member in members]


def found(tracker: Tracker, name: str) -> FoundRun:
    (run,) = tracker.find_members(f"attributes.run_name = '{name}'")
    return run


def test_aliases_and_numbers_pick_members(tracker: Tracker) -> None:
    picked = pick_members(tracker, "models:/hacs@champion, models:/other/1,models:/hacs/2")
    assert names(picked) == [("a", "/p/a"), ("b", "/p/b"), ("c", "/p/c")]


def test_a_run_that_two_addresses_name_is_one_member(tracker: Tracker) -> None:
    assert names(pick_members(tracker, "models:/hacs@champion, models:/hacs/1")) == [("a", "/p/a")]


def test_tags_of_versions_pick_members(tracker: Tracker) -> None:
    client = tracker.server.connected()[0]
    for name, number in (("hacs", "2"), ("other", "1")):
        client.set_model_version_tag(name, number, "team", "blue")
    assert names(pick_members(tracker, "versions: tags.team = 'blue'")) == [("b", "/p/b"), ("c", "/p/c")]
    copied = pick_members(tracker, "versions: name = 'hacs' and tags.`talaria.model` = 'bmn'")
    assert [member.name for member in copied] == ["a", "b"]
    with pytest.raises(ConfigError, match=r"versions: tags\.team = 'red': no version matches; reg"):
        pick_members(tracker, "versions: tags.team = 'red'")


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("models:/nobody@champion", "Registered Model with name=nobody not found"),
        ("models:/hacs@nobody", "alias nobody not found"),
        ("models:/hacs/9", r"\(name=hacs, version=9\) not found"),
        ("models:/hacs", r"expected models:/NAME@ALIAS or models:/NAME/VERSION"),
    ],
)
def test_an_unknown_address_is_one_sentence_that_names_what_exists(
    tracker: Tracker, address: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem) as error:
        pick_members(tracker, f"models:/hacs@champion, {address}")
    (said,) = error.value.problems
    assert said.startswith(f"ensemble.members: {address}: ")
    assert said.endswith("registered models: bare, hacs, other")


def test_a_version_whose_run_made_no_predictions_is_named(tracker: Tracker) -> None:
    with pytest.raises(
        ConfigError, match=r"models:/bare/1: run \w+ \(bare\) has no tag talaria\.predictions"
    ):
        pick_members(tracker, "models:/bare/1")


def test_an_invalid_filter_of_versions_is_a_sentence(tracker: Tracker) -> None:
    with pytest.raises(ConfigError, match=r"ensemble\.members: versions: nonsense: "):
        pick_members(tracker, "versions: nonsense")


def test_registering_again_makes_no_second_version_and_moves_the_alias(tmp_path: Path) -> None:
    tracker = Tracker(f"sqlite:///{tmp_path / 'mlflow.db'}", "tal", tmp_path / "artifacts")
    registry = Registry(tracker.server)
    for name in ("a", "b"):
        tracker.tag(tracker.run(name, name, "train"), PREDICTIONS_TAG, f"/p/{name}")
    assert registry.register(found(tracker, "a"), "hacs", "champion") == "models:/hacs/1"
    assert registry.register(found(tracker, "a"), "hacs", "champion") == "models:/hacs/1"
    assert registry.register(found(tracker, "b"), "hacs", "champion") == "models:/hacs/2"
    assert names(pick_members(tracker, "models:/hacs@champion")) == [("b", "/p/b")]
    ids = {name: found(tracker, name).run_id for name in ("a", "b")}
    assert registry.aliases() == {ids["a"]: ["hacs/1"], ids["b"]: ["hacs@champion"]}
    with pytest.raises(ConfigError, match="--register a hacs: "):
        registry.register(found(tracker, "a"), "hacs", "v2")
