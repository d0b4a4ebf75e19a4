"""Every golden folder under --goldens ROOT, checked by the module that knows its model.

A module of tests/reference/golden_checks offers `CHECKS`: {golden name: function(Golden)}. A golden that no
module knows is reported as skipped with its name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reference import golden_checks
from reference.golden import Golden


def known_checks() -> dict[str, Callable[[Golden], None]]:
    checks: dict[str, Callable[[Golden], None]] = {}
    for module in pkgutil.iter_modules(golden_checks.__path__):
        found = importlib.import_module(f"reference.golden_checks.{module.name}").CHECKS
        assert not checks.keys() & found.keys(), f"{module.name} checks a golden twice"
        checks.update(found)
    return checks


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    root = Path(metafunc.config.getoption("--goldens"))
    folders = sorted(path.parent for path in root.glob("*/manifest.json"))
    absent = pytest.param(None, marks=pytest.mark.skip(reason=f"no goldens at {root}"), id="absent")
    metafunc.parametrize("folder", [pytest.param(f, id=f.name) for f in folders] or [absent])


def test_golden(folder: Path) -> None:
    check = known_checks().get(folder.name)
    if check is None:
        pytest.skip(f"no model here for golden {folder.name}")
    check(Golden(folder))
