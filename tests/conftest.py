"""Environment of every test: set before anything imports Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

os.environ.pop("RAY_ADDRESS", None)
os.environ.update(
    PYTHONPATH=os.pathsep.join(str(ROOT / folder) for folder in ("platform", "models")),
    RAY_AUTH_MODE="disabled",
    RAY_USAGE_STATS_ENABLED="0",
    OMP_NUM_THREADS="1",
    RAY_BACKEND_LOG_LEVEL="fatal",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--goldens", default=str(SHARED / "goldens"), help="folder of golden folders")
    parser.addoption("--all", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run by make test-all"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and goldens beside the project; tests skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent")
    return SHARED


@pytest.fixture(scope="module")
def ray_session() -> Iterator[Any]:
    """One local Ray for the tests of a module; four logical CPUs whatever the machine has."""
    import ray

    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=200 * 2**20,
        logging_level="ERROR",
        log_to_driver=False,
    )
    yield ray
    ray.shutdown()
