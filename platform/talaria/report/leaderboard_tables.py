"""The leaderboard and one ensemble's members as tables for the console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from talaria.log import console, duration_text
from talaria.report.leaderboard import EnsembleReport, Entry
from talaria.tracking.mlflow_tracker import SUBSET_TAG

_TEXT = ("name", "pipeline", "features", "model", "judged on", "picked by", "run")
_FIRST_TO_GO = ("run", "training", "params", "judged on", "AUC", "pipeline", "GFLOP", "AUC fit")
_WIDEST = 1000


def leaderboard_table(entries: Sequence[Entry], experiment: str) -> Table:
    """Members and ensembles, in the order given.

    Columns that nothing fills are left out, and on a narrow terminal those that matter least; the caption
    names the latter.
    """
    rows = [_cells(entry) for entry in entries]
    columns = [column for column in rows[0] if any(row[column] for row in rows)]
    left_out: list[str] = []
    table = _leaderboard(entries, rows, columns, experiment)
    for column in (name for name in _FIRST_TO_GO if name in columns):
        if not console.is_terminal or _natural_width(table) <= console.width:
            break
        columns.remove(column)
        left_out.append(column)
        table = _leaderboard(entries, rows, columns, experiment)
    if left_out:
        table.caption = f"a wider terminal also shows: {', '.join(reversed(left_out))}"
        table.caption_justify = "left"
    return table


def _leaderboard(
    entries: Sequence[Entry], rows: Sequence[Mapping[str, str]], columns: Sequence[str], experiment: str
) -> Table:
    table = _titled(f"members and ensembles of experiment {experiment}, the best first; mAP and AUC in %")
    for column in columns:
        justify = "left" if column in _TEXT else "right"
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for entry, row in zip(entries, rows, strict=True):
        table.add_row(*(row[column] for column in columns), style="bold" if entry.is_ensemble else None)
    return table


def ensemble_table(report: EnsembleReport, entries: Sequence[Entry]) -> Table:
    """One ensemble's members with their mAP alone, their weight and what leaving each out would cost.

    Args:
        report: of the ensemble.
        entries: where features and models of the members are looked up.
    """
    result, known = report.result, {entry.run.run_id: entry for entry in entries}
    subset = report.entry.run.tags.get(SUBSET_TAG, "the judged subset")
    table = _titled(f"{report.entry.run.name}: average mAP on {subset} (tIoU 0.5:0.05:0.95), in %")
    for column in ("", "features", "model", "mAP", "mAP@0.5", "weight", "gain"):
        table.add_column(column, justify="left" if column in ("", *_TEXT) else "right", overflow="fold")
    for member in result["members"]:
        entry = known.get(member["run_id"])
        about = (_features(entry), _model(entry)) if entry else ("", "")
        scores = _percent(member["average_map"]), _percent(member["map_at_50"])
        weight = result["weights"].get(member["name"], 0.0)
        table.add_row(member["name"], *about, *scores, f"{weight:.3f}", _points(member.get("leave_one_out")))
    table.add_section()
    for name, value, at_50, gain in _together(result):
        table.add_row(name, "", "", _percent(value), _percent(at_50), "", _points(gain))
    return table


def print_wide(table: Table) -> None:
    """Print a table: fitted to a terminal, and as wide as it needs to be into a file or pipe."""
    if not console.is_terminal:
        console.width = max(console.width, _natural_width(table))
    console.print(table)


def _natural_width(table: Table) -> int:
    """Characters of a table in which nothing is folded."""
    return console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum


def _together(result: Mapping[str, Any]) -> list[tuple[str, float, float | None, float | None]]:
    """Name, mAP, mAP@0.5 and gain over the best member."""
    best, equal, learned = (
        result[f"{name}_map"] for name in ("best_member", "equal_weights", "learned_weights")
    )
    return [
        ("best member", best, None, None),
        ("equal weights", equal, None, equal - best),
        ("learned weights", learned, result["learned_map_at_50"], learned - best),
    ]


def _cells(entry: Entry) -> dict[str, str]:
    metrics = entry.run.metrics
    parameters, training_s = metrics.get("parameters"), metrics.get("training_s")
    return {
        "name": entry.name,
        "pipeline": entry.pipeline,
        "features": _features(entry),
        "model": _model(entry),
        "mAP": _percent(entry.average_map),
        "gain": _points(entry.gain),
        "judged on": entry.run.tags.get(SUBSET_TAG, ""),
        "AUC": _number(metrics.get("auc")),
        "AUC fit": _number(metrics.get("fit_auc")),
        "GFLOP": "" if metrics.get("gflop") is None else f"{metrics['gflop']:.3g}",
        "params": f"{parameters / 1e6:.2f} M" if parameters is not None else "",
        "training": duration_text(training_s) if training_s is not None else "",
        "picked by": entry.chosen,
        "run": entry.run.run_id[:8],
    }


def _features(entry: Entry) -> str:
    return entry.run.params.get("features", "")


def _model(entry: Entry) -> str:
    return entry.run.tags.get("talaria.model", entry.run.tags.get("talaria.way", ""))


def _titled(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.2f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
