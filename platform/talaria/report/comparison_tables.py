"""A comparison of two sets of detections as tables for the console."""

from __future__ import annotations

import math

from rich.markup import escape
from rich.table import Table

from talaria.evaluation.comparison import Comparison, Estimate, Pair

_SHOWN_CLASSES = 10


def comparison_tables(comparison: Comparison, first_name: str, second_name: str) -> list[Table]:
    """Both scores and their difference, and the classes that moved most; all with intervals.

    Args:
        comparison: what to show.
        first_name: of the first set.
        second_name: of the second set.
    """
    title = f"{escape(first_name)} (first) and {escape(second_name)} (second)"
    return [_scores_table(comparison, title), _classes_table(comparison, title)]


def _scores_table(comparison: Comparison, title: str) -> Table:
    """Eighty columns hold one interval a line; those of each set at each threshold are in the JSON."""
    average, at_tiou = comparison.average_map, comparison.map_at_tiou
    table = _titled(f"{title}: mAP, in %")
    for column in ("first", "second", "difference", "interval"):
        table.add_column(column, justify="right")
    table.add_row("average mAP", *_cells(average, ()), style="bold")
    table.add_row("interval", _interval(average.first, ()), _interval(average.second, ()))
    table.add_section()
    for row, tiou in enumerate(comparison.tiou_thresholds):
        table.add_row(f"mAP@{tiou:.4g}", *_cells(at_tiou, (row,)))
    table.caption = (
        f"{100 * comparison.confidence:g} % intervals from {comparison.num_resamples:,d} draws of "
        f"{comparison.num_videos:,d} videos with replacement, the same for both, moved so that their median "
        f"is what was measured; the second has the higher average mAP in "
        f"{100 * comparison.second_better:.1f} % of them."
    )
    return table


def _classes_table(comparison: Comparison, title: str) -> Table:
    ranked, ap = comparison.moved_most(), comparison.class_ap
    moved = [k for k in ranked if ap.difference.value[k]]
    table = _titled(f"{title}: average precision of the classes that moved most, in %")
    for column in ("truths", "first", "second", "difference", "interval"):
        table.add_column(column, justify="right")
    for k in moved[:_SHOWN_CLASSES]:
        table.add_row(escape(comparison.classes[k]), str(comparison.num_truths[k]), *_cells(ap, (k,)))
    table.caption = f"{len(moved):,d} of {len(ranked):,d} classes with truths moved."
    return table


def _cells(pair: Pair, at: tuple[int, ...]) -> tuple[str, ...]:
    """Both values, their difference and its interval."""
    scores = (f"{100 * float(one.value[at]):.2f}" for one in (pair.first, pair.second))
    change = f"{100 * float(pair.difference.value[at]):+.2f}"
    return (*scores, change, _interval(pair.difference, at, "+"))


def _interval(estimate: Estimate, at: tuple[int, ...], sign: str = "") -> str:
    """Both ends; with signs a dash between them would read as another."""
    low, high = 100 * float(estimate.low[at]), 100 * float(estimate.high[at])
    return f"{low:{sign}.2f}{' to ' if sign else '–'}{high:{sign}.2f}" if math.isfinite(low) else "none"


def _titled(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left")
    table.add_column("", overflow="fold")
    return table
