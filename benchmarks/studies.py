"""What the studies share: a recipe run once a seed as a person would, and a table of means."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "models")]

from talaria.store.files import read_json  # noqa: E402

Numbers = dict[str, dict[str, list[float]]]
"""Values of every seed, by row and column of the table."""


@dataclass(frozen=True)
class Study:
    """What the command line asks for.

    Attributes:
        home: absolute; runs/ lies below it.
        recipe: absolute; the runs are called after its file and their seed.
    """

    seeds: tuple[int, ...]
    home: Path
    recipe: Path

    def run(self, seed: int) -> Path:
        """The folder of one seed's run."""
        return self.home / "runs" / f"{self.recipe.stem}{seed}"


def asked_for(description: str | None, recipe: Path) -> Study:
    """Read the command line; `recipe` is the one that is run by default."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--home", type=Path, required=True, help="folder below which runs/ lies")
    parser.add_argument("--recipe", type=Path, default=recipe)
    asked = parser.parse_args()
    return Study(tuple(asked.seeds), asked.home.resolve(), asked.recipe.resolve())


def job(study: Study, name: str, *arguments: object) -> None:
    """Run a job as a person does; its output goes to the terminal."""
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)]
    subprocess.run(command, env={**os.environ, "TALARIA_HOME": str(study.home)}, check=True)


def whole_pipeline(study: Study, seed: int) -> dict[str, Any]:
    """The summary of one seed's run, made if it is not there."""
    run = study.run(seed)
    settings = ("--set", f"run.name={run.name}", "--set", f"run.seed={seed}")
    job(study, "full_pipeline", "--recipe", study.recipe, *settings)
    return summary_of(run)


def summary_of(run: Path) -> dict[str, Any]:
    """What the last job said of a run."""
    found: dict[str, Any] = read_json(run / "summary.json")
    return found


def print_table(numbers: Numbers, seeds: Sequence[int]) -> None:
    """Means and deviations."""
    columns = list(dict.fromkeys(column for found in numbers.values() for column in found))
    print(f"\nmean over {len(seeds)} seeds (deviation)")
    print(f"{'':34s}" + "".join(f"{column:>18s}" for column in columns))
    for name, found in numbers.items():
        print(f"{name:34s}" + "".join(f"{_shown(found.get(column, [])):>18s}" for column in columns))


def _shown(values: list[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.2f}" + (f" ({stdev(values):.2f})" if len(values) > 1 else "")
