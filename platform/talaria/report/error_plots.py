"""An error analysis as three figures: false positives, sensitivity, false negatives.

Matplotlib is imported when a figure is drawn, not before, and never opens a window. The colours are those of
Okabe and Ito, which people with any common colour blindness can tell apart.

Letters: B buckets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from talaria.errors import ConfigError
from talaria.evaluation.arrays import FloatArray
from talaria.evaluation.errors import ErrorAnalysis
from talaria.evaluation.false_positives import ERRORS, ErrorType, FalsePositives
from talaria.evaluation.sensitivity import Buckets
from talaria.store.files import written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {
    ErrorType.TRUE_POSITIVE: "#009E73",
    ErrorType.DOUBLE_DETECTION: "#E69F00",
    ErrorType.WRONG_LABEL: "#CC79A7",
    ErrorType.LOCALISATION: "#0072B2",
    ErrorType.CONFUSION: "#56B4E9",
    ErrorType.BACKGROUND: "#A6A6A6",
}
_SCORED, _MISSED, _GREY = "#0072B2", "#D55E00", "#555555"
_PATCH = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
"""Behind numbers: keeps lines out of them."""

_DPI = 150
_LONGEST_NAME = 90
_STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.7,
    "xtick.color": _GREY,
    "xtick.labelsize": 8.5,
    "xtick.labelcolor": "black",
    "ytick.color": _GREY,
    "ytick.labelcolor": "black",
    "legend.frameon": False,
    "svg.hashsalt": "talaria",  # else the ids in the file are drawn at random
}


def draw_errors(analysis: ErrorAnalysis, folder: Path, name: str) -> list[Path]:
    """Write `false_positives`, `sensitivity` and `false_negatives`, each as PNG and SVG.

    The same analysis gives the same bytes with the same version of Matplotlib.

    Args:
        analysis: what to show.
        folder: where the files go; made if need be, older figures there are replaced.
        name: what was analysed; it leads the titles.

    Returns:
        The six files.

    Raises:
        ConfigError: a file cannot be written.
    """
    from matplotlib import style

    with style.context(["default", _STYLE]):
        figures = {
            "false_positives": _false_positives(analysis, name),
            "sensitivity": _sensitivity(analysis, name),
            "false_negatives": _false_negatives(analysis, name),
        }
        return [path for stem, figure in figures.items() for path in _written(figure, folder, stem)]


def _written(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """One figure in both formats, each whole or not at all, without the time of day in it."""
    paths = []
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        path = folder / f"{stem}.{suffix}"
        try:
            with written_aside(path) as aside:
                figure.savefig(aside, format=suffix, dpi=_DPI, metadata=metadata)
        except OSError as error:
            raise ConfigError(
                f"{path}: cannot be written ({error.strerror}); name another folder for the figures"
            ) from None
        paths.append(path)
    return paths


def _false_positives(analysis: ErrorAnalysis, name: str) -> Figure:
    """What the best detections are, slice by slice, and what each kind of mistake costs."""
    figure = _figure(analysis, name, "detections by kind", height_in=4.4)
    profile, gains = figure.subplots(1, 2, width_ratios=(2.0, 1.0))
    _draw_profile(profile, analysis.false_positives)
    _draw_gains(gains, analysis.false_positives)
    handles, labels = profile.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), columnspacing=1.4)
    return figure


def _draw_profile(axes: Axes, wrong: FalsePositives) -> None:
    """Stacked shares over 1G..10G."""
    shares_SE, sizes_S = 100 * wrong.profile_shares(), wrong.profile_TSE[0].sum(axis=1)
    shares_SE = np.nan_to_num(shares_SE)  # an empty slice has no bar; its size of 0 says so
    places, below = np.arange(len(sizes_S)), np.zeros(len(sizes_S))
    for kind in ErrorType:
        axes.bar(
            places,
            shares_SE[:, kind],
            0.84,
            bottom=below,
            color=_COLOURS[kind],
            edgecolor="white",
            linewidth=0.6,
            label=kind.words,
        )
        below += shares_SE[:, kind]
    axes.set_xticks(places, [f"{row + 1}G\n{size:,}" for row, size in enumerate(sizes_S)])
    axes.tick_params(axis="x", length=0)
    axes.set(ylim=(0, 100), xlim=(-0.6, len(sizes_S) - 0.4), ylabel="share of detections (%)")
    axes.set_xlabel("rank within the class, in units of its G truths; number of detections")
    axes.set_title("What the best detections are")
    axes.grid(True, axis="y")


def _draw_gains(axes: Axes, wrong: FalsePositives) -> None:
    """Points of normalised mAP gained without each kind of mistake."""
    gains = 100 * wrong.gain_map_n_ET.mean(axis=1)
    places = np.arange(len(ERRORS))
    bars = axes.barh(places, gains, 0.68, color=[_COLOURS[kind] for kind in ERRORS])
    axes.bar_label(bars, [f"+{gain:.1f}" for gain in gains], padding=3, bbox=_PATCH)
    axes.set_yticks(places, [kind.words for kind in ERRORS])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2 * max(gains.max(), 0.1))
    axes.set_xlabel("gain in average mAP$_N$ (points)")
    axes.set_title(f"Gained without each kind, from {100 * wrong.map_n_T.mean():.1f}")
    axes.grid(True, axis="x")


def _sensitivity(analysis: ErrorAnalysis, name: str) -> Figure:
    """Normalised mAP of every bucket beside that of all truths."""
    felt = analysis.sensitivity
    figure = _figure(analysis, name, "score by what the truths are like", height_in=4.1)
    _draw_buckets(
        figure,
        [(buckets, buckets.map_n_B) for buckets in felt.by_characteristic],
        felt.map_n,
        "average mAP$_N$ (%)",
        _SCORED,
    )
    return figure


def _false_negatives(analysis: ErrorAnalysis, name: str) -> Figure:
    """Share of missed truths in every bucket beside that of all truths."""
    felt = analysis.sensitivity
    figure = _figure(analysis, name, "missed truths by what they are like", height_in=4.1)
    _draw_buckets(
        figure,
        [(buckets, buckets.missed_B) for buckets in felt.by_characteristic],
        felt.missed,
        "missed truths (%)",
        _MISSED,
    )
    return figure


def _draw_buckets(
    figure: Figure, panels: Sequence[tuple[Buckets, FloatArray]], whole: float, label: str, colour: str
) -> None:
    """One panel per characteristic, all on one scale, with a line at the value of all truths."""
    widths = [len(buckets.characteristic.buckets) for buckets, _ in panels]
    row = figure.subplots(1, len(panels), sharey=True, width_ratios=widths, squeeze=False)[0]
    top = 108 * max(np.nanmax([whole, *values_B]) for _, values_B in panels) or 1.0
    for axes, (buckets, values_B) in zip(row, panels, strict=True):
        axes.set_ylim(0, top)
        _draw_panel(axes, buckets, 100 * values_B, colour)
        line = axes.axhline(100 * whole, color="black", linewidth=1, linestyle=(0, (4, 3)), zorder=3)
    row[0].set_ylabel(label)
    row[0].set_yticks([tick for tick in row[0].get_yticks() if tick <= min(top, 100)])
    for axes in row[1:]:
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    figure.legend([line], [f"all truths: {100 * whole:.1f}"], loc="outside lower center")


def _draw_panel(axes: Axes, found: Buckets, values_B: FloatArray, colour: str) -> None:
    """Bars with their values; under each its bucket, range and number of truths."""
    what, places = found.characteristic, np.arange(len(values_B))
    axes.bar(places, np.nan_to_num(values_B), 0.74, color=colour)
    for place, value in enumerate(values_B):
        _write_value(axes, place, value)
    names = zip(what.buckets, what.ranges(), found.num_truths_B, strict=True)
    axes.set_xticks(places, [f"{bucket}\n{limits}\n{count:,}" for bucket, limits, count in names])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("bucket, its range, its number of truths", labelpad=6)
    axes.set_xlim(-0.6, len(places) - 0.4)
    unknown = f"; {found.num_unknown:,} unknown" if found.num_unknown else ""
    axes.set_title(f"{what.name} ({what.unit}{unknown})")
    axes.grid(True, axis="y")


def _write_value(axes: Axes, place: int, value: float) -> None:
    """The value at the foot of its bar, where no line crosses it, or above a bar too low to hold it."""
    inside = value > 0.12 * axes.get_ylim()[1]
    axes.annotate(
        f"{value:.1f}" if math.isfinite(value) else "none",
        (place, 0.0 if inside or math.isnan(value) else value),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color="white" if inside else "black",
        fontweight="bold" if inside else "normal",
        zorder=4,
        bbox=None if inside else _PATCH,
    )


def _figure(analysis: ErrorAnalysis, name: str, what: str, height_in: float) -> Figure:
    """An empty figure with a title that says what was analysed."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(10.5, height_in), layout=layout)
    short = name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
    tiou = analysis.tiou_thresholds
    span = (
        f"{tiou.min():.4g}"
        if tiou.size == 1
        else f"{tiou.min():.4g} to {tiou.max():.4g} (mean of {tiou.size})"
    )
    counts = (
        f"{analysis.num_videos:,} videos, {analysis.num_truths:,} truths, {analysis.num_detections:,} "
        f"detections, tIoU {span}"
    )
    figure.suptitle(f"{short}: {what}\n{counts}", x=0.01, ha="left", fontsize=10.5, parse_math=False)
    return figure
