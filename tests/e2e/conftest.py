"""Runs that several end-to-end tests look at."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from by_hand import FullRun, Home, MakeHome

SHARED_RUN = "TALARIA_TEST_RUN"
"""Environment variable with a folder for the one run that several processes look at."""


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
    """The micro recipe from nothing to its summary; made once for both halves of tests/side_by_side.sh."""
    shared = os.environ.get(SHARED_RUN)
    home = make_home("undisturbed")
    if shared is None:
        return FullRun(home, home.run("full_pipeline"))
    home.path, said = Path(shared) / "home", Path(shared) / "said.pickle"
    home.path.mkdir(exist_ok=True)
    with (Path(shared) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.is_file():
            said.write_bytes(pickle.dumps(home.run("full_pipeline")))
    return FullRun(home, pickle.loads(said.read_bytes()))


@pytest.fixture
def home(make_home: MakeHome, tmp_path: Path) -> Home:
    """An empty home."""
    return make_home(tmp_path.name[:20])
