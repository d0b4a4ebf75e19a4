"""A finished search as one table, and where its best trial lies."""

from __future__ import annotations

from rich.table import Table

from talaria.config.search import SearchSection
from talaria.log import console, duration_text
from talaria.pipeline.search import BEST_RECIPE, found_trials
from talaria.pipeline.session import Session
from talaria.search.front import best, front
from talaria.search.trials import TrialResult

_SCORES = {
    "detectors": "average mAP of proposals",
    "refiners": "average mAP of refined proposals",
    "classifiers": "top-1",
}


def show_search(session: Session) -> None:
    """The trials, the best score first, with what was drawn."""
    section = session.config.search
    assert section is not None
    artifact = session.artifact("search", section.node_name, "2", {})
    trials = found_trials(artifact)
    console.print()
    console.print(_table(session, section, trials))
    spent_s = session.seconds().get("search", 0.0)
    console.print(f"time: {duration_text(spent_s)}")
    if not session.worked:
        console.print("everything was finished earlier; nothing was done again")
    console.print(f"best: {artifact.folder / BEST_RECIPE}")
    console.print(f"next: python jobs/train.py --recipe {artifact.folder / BEST_RECIPE}")


def _table(session: Session, section: SearchSection, trials: list[TrialResult]) -> Table:
    name, num_trials = session.config.run.name, sum(trial.own for trial in trials)
    title = (
        f"{name}: {num_trials} trials of {section.target}, {_SCORES[section.group]} on held-out videos, in %"
    )
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("")
    for column in ("score", "epochs", "GFLOP"):
        table.add_column(column, justify="right")
    table.add_column("drawn", overflow="fold")
    table.add_column("")
    labels = _labels(section)
    chosen, on_front = best(trials, section), front(trials) if len(section.objectives) > 1 else []
    for trial in trials:
        notes = ["best"] * (trial == chosen) + ["front"] * (trial in on_front) + ["earlier"] * (not trial.own)
        notes += [trial.status] * (trial.status != "finished") + [trial.reason] * bool(trial.reason)
        drawn = ", ".join(f"{labels[path]} {_shown(value)}" for path, value in trial.values.items())
        style = "bold" if trial == chosen else None
        table.add_row(trial.name, *_numbers(trial), drawn, ", ".join(notes), style=style)
    return table


def _labels(section: SearchSection) -> dict[str, str]:
    """The last part of each path, or all of it below the target where two end alike."""
    lasts = [path.rpartition(".")[2] for path in section.space]
    return {
        path: last if lasts.count(last) == 1 else section.below_target(path)
        for path, last in zip(section.space, lasts, strict=True)
    }


def _numbers(trial: TrialResult) -> tuple[str, str, str]:
    score = f"{100 * trial.score:.2f}" if trial.score is not None else ""
    return score, str(trial.epochs), f"{trial.gflop:.3g}" if trial.gflop is not None else ""


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
