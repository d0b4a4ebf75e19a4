"""Runs that several end-to-end tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from by_hand import FullRun, Home, MakeHome


@pytest.fixture(scope="session")
def make_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeHome]:
    """Homes that leave no process and no folder behind."""
    homes: list[Home] = []

    def make(name: str) -> Home:
        homes.append(Home(tmp_path_factory.mktemp(name)))
        return homes[-1]

    yield make
    for home in homes:
        home.close()


@pytest.fixture(scope="session")
def undisturbed(make_home: MakeHome) -> FullRun:
    """The micro recipe from nothing to its summary."""
    home = make_home("undisturbed")
    return FullRun(home, home.run("full_pipeline"))


@pytest.fixture
def home(make_home: MakeHome, tmp_path: Path) -> Home:
    """An empty home."""
    return make_home(tmp_path.name[:20])
