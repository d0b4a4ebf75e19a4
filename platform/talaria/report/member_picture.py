"""One member on a few videos as a figure: its curves, its best segments and the truth.

Letters: N truths, P segments, T snippets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from talaria.evaluation.arrays import FloatArray
from talaria.store.files import written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRUTH, _FOUND, _OFFERED = "#009E73", "#0072B2", "#A6A6A6"
_CURVES = ("#E69F00", "#CC79A7")
_DPI = 110
_SHOWN = 8
_STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


@dataclass(frozen=True, eq=False)
class PicturedVideo:
    """A video, its truth and what a member says; all times in seconds.

    Attributes:
        truths_s: (N, 2) true segments.
        found_s: (P, 2) the member's segments, the best first.
        found_scores: (P,) at or above 0.
        offered_s: (P, 2) where a refiner's segments came from; empty for detectors.
        curves: probabilities (T,) that lie evenly over the video, by what they are called.
    """

    video_id: str
    duration_s: float
    truths_s: FloatArray
    found_s: FloatArray
    found_scores: FloatArray
    offered_s: FloatArray
    curves: Mapping[str, FloatArray]


def draw_member(title: str, videos: Sequence[PicturedVideo], path: Path) -> None:
    """Write a PNG with a panel for every video, of which there must be one; equal input gives equal bytes."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(10, 0.6 + 2.1 * len(videos)), dpi=_DPI, layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        panels: list[Axes] = list(figure.subplots(len(videos), 1, squeeze=False)[:, 0])
        for axes, video in zip(panels, videos, strict=True):
            _draw(axes, video)
        panels[-1].set_xlabel("seconds")
        shown = _legend(panels)
        figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=len(shown))
        with written_aside(path) as aside:
            figure.savefig(aside, format="png", metadata={"Software": None})


def _draw(axes: Axes, video: PicturedVideo) -> None:
    """Curves above zero; below it truth, then the best segments, the best on top."""
    for (name, values_T), colour in zip(video.curves.items(), _CURVES, strict=False):
        time_T = (np.arange(len(values_T)) + 0.5) * video.duration_s / len(values_T)
        axes.plot(time_T, values_T, color=colour, linewidth=1.2, label=name)
    _bars(axes, video.truths_s, 0, _TRUTH, "truth", np.ones(len(video.truths_s)))
    best = float(video.found_scores.max(initial=0.0)) or 1.0
    for row, (segment_s, score) in enumerate(
        zip(video.found_s[:_SHOWN], video.found_scores[:_SHOWN], strict=True), start=1
    ):
        if len(video.offered_s):
            _bars(axes, video.offered_s[row - 1][None], row, _OFFERED, "its proposal", np.ones(1), 1)
        share = np.array([max(0.15, float(score) / best)])
        part = -1 if len(video.offered_s) else 0
        _bars(axes, segment_s[None], row, _FOUND, "best segments, darker is surer", share, part)
    axes.axhline(0, color="#555555", linewidth=0.6)
    axes.set_xlim(0, video.duration_s)
    axes.set_ylim(-0.14 * (_SHOWN + 1) - 0.06, 1.02 if video.curves else 0.05)
    axes.set_yticks([0, 0.5, 1] if video.curves else [])
    axes.set_title(f"{video.video_id}, {video.duration_s:.1f} s")


def _bars(
    axes: Axes,
    segments_s: FloatArray,
    row: int,
    colour: str,
    label: str,
    share: FloatArray,
    part: int = 0,
) -> None:
    """Segments as bars in one row below zero.

    Args:
        share: (N,) opacity of each in [0, 1].
        part: 0 fills the row; above 0 the upper half, below 0 the lower one.
    """
    low, high = -0.14 * (row + 1), -0.14 * (row + 1) + 0.11
    middle = (low + high) / 2
    low, high = (middle, high) if part > 0 else (low, middle) if part < 0 else (low, high)
    for (start_s, end_s), alpha in zip(segments_s, share, strict=True):
        axes.fill_between(
            [start_s, end_s], low, high, color=colour, alpha=float(alpha), linewidth=0, label=label
        )


def _legend(panels: Sequence[Axes]) -> dict[str, Any]:
    """Every label once, with the first, surest bar that has it."""
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    return handles
