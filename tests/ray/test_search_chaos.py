"""`kill -9` of the driver in the middle of a search: the same command ends as if nothing had happened."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from searching import SEARCH, killed, searched

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
ROUNDS = 4


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("material")


@pytest.fixture(scope="module")
def undisturbed(material: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a search comes to that nothing disturbs."""
    return searched(material, tmp_path_factory.mktemp("search") / "undisturbed")


def ended(out: Path) -> dict[str, int]:
    """When each trial's result was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("trials/*/result.json")}


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_killed_search_ends_as_an_undisturbed_one(
    material: Path, undisturbed: dict[str, Any], tmp_path: Path, number: int
) -> None:
    draw, out = random.Random(number), tmp_path / "search"
    kept: dict[str, int] = {}
    for trial in sorted(draw.sample(range(SEARCH["num_trials"]), 2)):
        begun = out / "trials" / f"trial_{trial:05d}" / "values.json"
        killed(material, out, begun.exists, draw.uniform(0.0, 3.0))
        now = ended(out)
        assert kept.items() <= now.items(), "a trial that had ended was run again"
        kept = now
    assert searched(material, out) == undisturbed
    assert kept.items() <= ended(out).items(), "a trial that had ended was run again"
    assert sorted(ended(out)) == [f"trial_{trial:05d}" for trial in range(SEARCH["num_trials"])]


def test_two_trials_at_a_time_lose_and_repeat_nothing_either(material: Path, tmp_path: Path) -> None:
    out = tmp_path / "search"
    third = out / "trials" / "trial_00002" / "values.json"
    killed(material, out, third.exists, 1.0, concurrent=2, max_concurrent=2)
    before = ended(out)
    drawn = {path.parent.name: path.read_bytes() for path in out.glob("trials/*/values.json")}
    found = searched(material, out, concurrent=2, max_concurrent=2)
    assert list(found) == [f"trial_{trial:05d}" for trial in range(SEARCH["num_trials"])]
    assert before.items() <= ended(out).items()
    now = {path.parent.name: path.read_bytes() for path in out.glob("trials/*/values.json")}
    assert drawn.items() <= now.items(), "a trial that had begun was drawn anew"
