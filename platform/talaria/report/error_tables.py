"""An error analysis as tables for the console."""

from __future__ import annotations

import math

from rich.table import Table

from talaria.evaluation.errors import ErrorAnalysis
from talaria.evaluation.false_positives import ERRORS, ErrorType
from talaria.evaluation.sensitivity import Buckets


def error_tables(analysis: ErrorAnalysis, name: str) -> list[Table]:
    """What each kind of false positive costs, and how scores and misses depend on the truths.

    Args:
        analysis: what to show.
        name: what was analysed; it leads both titles.
    """
    return [_mistakes_table(analysis, name), _truths_table(analysis, name)]


def _mistakes_table(analysis: ErrorAnalysis, name: str) -> Table:
    """Shares of the best detections, and the gains; means over the thresholds."""
    wrong = analysis.false_positives
    counts_SE = wrong.profile_TSE.mean(axis=0)
    table = _titled(f"{name}: detections by kind, and the mAP gained without each, in %")
    for column in ("best 1G", "best 10G", "mAP gained", "mAP_N gained"):
        table.add_column(column, justify="right")
    for kind in ErrorType:
        shares = [_share(counts_SE[:size, kind].sum(), counts_SE[:size].sum()) for size in (1, None)]
        gains = ["", ""]
        if kind in ERRORS:
            row = ERRORS.index(kind)
            gains = [_gain(gained_ET[row].mean()) for gained_ET in (wrong.gain_map_ET, wrong.gain_map_n_ET)]
        table.add_row(kind.words, *shares, *gains)
    totals = (_percent(wrong.map_T.mean()), _percent(wrong.map_n_T.mean()))
    table.add_section()
    table.add_row("average mAP as it is", "", "", *totals, style="bold")
    table.caption = (
        "G: the truths of a class; best 1G: so many of its detections. mAP is of all detections, mAP_N of "
        "the best 10G and normalised to equally common classes."
    )
    return table


def _truths_table(analysis: ErrorAnalysis, name: str) -> Table:
    """Normalised mAP and misses by characteristic; means over the thresholds."""
    felt = analysis.sensitivity
    table = _titled(f"{name}: normalised mAP and missed truths by what the truths are like, in %")
    table.add_column("bucket")
    for column in ("range", "truths", "mAP_N", "missed"):
        table.add_column(column, justify="right")
    whole = (str(analysis.num_truths), _percent(felt.map_n), _percent(felt.missed))
    table.add_row("all", "", "", *whole, style="bold")
    for buckets in felt.by_characteristic:
        table.add_section()
        _add_buckets(table, buckets)
    return table


def _add_buckets(table: Table, found: Buckets) -> None:
    what = found.characteristic
    title = f"{what.name} ({what.unit})"
    for row, (bucket, limits) in enumerate(zip(what.buckets, what.ranges(), strict=True)):
        numbers = (_percent(found.map_n_B[row]), _percent(found.missed_B[row]))
        table.add_row("" if row else title, bucket, limits, str(found.num_truths_B[row]), *numbers)
    if found.num_unknown:
        table.add_row("", "", "unknown", str(found.num_unknown), "", "")


def _titled(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left")
    table.add_column("")
    return table


def _share(part: float, whole: float) -> str:
    return _percent(part / whole if whole else math.nan)


def _gain(value: float) -> str:
    return f"{100 * value:+.2f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}" if math.isfinite(value) else "none"
