"""An ensemble as a figure: members alone and fused, weights, what each adds, who finds what others miss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ALONE, _ADDS, _TAKES, _LEARNED, _EQUAL = "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#555555"
_DPI = 150
_MOST_NUMBERS = 14
"""Members up to which the matrix shows its numbers."""
_STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
}


def ensemble_figure(result: Mapping[str, Any]) -> Figure:
    """Three panels side by side, a row a member.

    Args:
        result: the content of `ensemble.json`; mAP and weights in [0, 1].
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    members = result["members"]
    with style.context(["default", _STYLE]):
        height = 1.6 + 0.32 * len(members)
        figure = Figure(figsize=(13, max(height, 3.2)), dpi=_DPI, layout="constrained")
        alone, added, matrix = figure.subplots(1, 3, width_ratios=(1.1, 1, 1.2))
        _alone(alone, result)
        _added(added, members)
        _matrix(matrix, result["complementarity"], result["num_truths"])
    return figure


def _alone(axes: Axes, result: Mapping[str, Any]) -> None:
    members = result["members"]
    percent = [100 * member["average_map"] for member in members]
    rows = _rows(axes, [member["name"] for member in members])
    axes.barh(rows, percent, color=_ALONE, height=0.7)
    for row, value in zip(rows, percent, strict=True):
        axes.text(0, row, f" {value:.1f}", va="center", fontsize=8)
    lines = (
        ("learned weights", "learned_weights_map", _LEARNED, "-"),
        ("equal", "equal_weights_map", _EQUAL, "--"),
    )
    for label, key, colour, style in lines:
        value = 100 * result[key]
        axes.axvline(value, color=colour, linestyle=style, linewidth=1.4, label=f"{label}: {value:.1f}")
    axes.set_xlim(0, 1.05 * max(*percent, 100 * result["learned_weights_map"], 1))
    axes.set_title("average mAP in %: each member alone, all together")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, -0.32 if len(members) < 6 else -0.2), ncols=2)


def _added(axes: Axes, members: list[dict[str, Any]]) -> None:
    rows = _rows(axes, [""] * len(members))
    gains = [100 * member["leave_one_out"] for member in members]
    axes.barh(rows + 0.18, [100 * member["weight"] for member in members], color=_LEARNED, height=0.34)
    colours = [_ADDS if gain >= 0 else _TAKES for gain in gains]
    axes.barh(rows - 0.18, gains, color=colours, height=0.34)
    axes.axvline(0, color=_EQUAL, linewidth=0.8)
    for row, member, gain in zip(rows, members, gains, strict=True):
        axes.text(
            max(100 * member["weight"], 0),
            row + 0.18,
            f" {100 * member['weight']:.1f}",
            va="center",
            fontsize=7,
        )
        axes.text(max(gain, 0), row - 0.18, f" {gain:+.2f}", va="center", fontsize=7)
    axes.margins(x=0.18)
    axes.set_title("blue: weight in %; green, red: points of mAP it adds")


def _matrix(axes: Axes, found: Mapping[str, Any], num_truths: int) -> None:
    only = np.asarray(found["only"], np.int64)
    names = found["members"]
    axes.imshow(only, cmap="Blues", vmin=0, vmax=max(int(only.max(initial=0)), 1), aspect="auto")
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    if len(names) <= _MOST_NUMBERS:
        for (row, column), count in np.ndenumerate(only):
            colour = "white" if count > 0.6 * only.max(initial=1) else "black"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=colour)
    axes.set_title(f"of {num_truths} segments: the row finds, the column misses")


def _rows(axes: Axes, names: list[str]) -> np.ndarray:
    """Heights of the rows, the first member on top, named at the left."""
    rows = np.arange(len(names))[::-1]
    axes.set_yticks(rows, names)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.7)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(left=False)
    return rows
