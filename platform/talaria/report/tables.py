"""Scores and detections as tables for the console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from talaria.records import Detection
from talaria.report.scores import DetectionScores, ProposalScores, Scene, Scores

_SHOWN_CLASSES = 5
_SHOWN_DETECTIONS = 5


def scores_table(scores: Scores, name: str) -> Table:
    """One table with what matters of some scores; `name` says what was scored."""
    if isinstance(scores, DetectionScores):
        return _detection_table(scores, name)
    return _proposal_table(scores, name)


def detections_table(results: Mapping[str, Sequence[Detection]]) -> Table:
    """The best detections of every video, which are given best first."""
    table = Table(title="best detections", title_justify="left", title_style="bold")
    table.add_column("video", overflow="fold")
    for column in ("start", "end", "score"):
        table.add_column(column, justify="right")
    table.add_column("label")
    for video_id, detections in results.items():
        for row, found in enumerate(detections[:_SHOWN_DETECTIONS]):
            times = f"{found.start_s:.1f} s", f"{found.end_s:.1f} s"
            table.add_row("" if row else video_id, *times, f"{found.score:.4f}", found.label)
        if not detections:
            table.add_row(video_id, "", "", "", "none")
        table.add_section()
    return table


def _detection_table(scores: DetectionScores, name: str) -> Table:
    result, ranked = scores.result, scores.ranked_classes()
    table = _titled(f"{name}: mAP on {_described(scores.scene)}, in %")
    table.add_column("truths", justify="right")
    table.add_row("average mAP", _percent(result.average_map), "", style="bold")
    for tiou, value in zip(result.tiou_thresholds, result.map_at_tiou, strict=True):
        table.add_row(f"mAP@{tiou:.4g}", _percent(float(value)), "")
    best, worst = ranked[:_SHOWN_CLASSES], ranked[_SHOWN_CLASSES:][-_SHOWN_CLASSES:]
    for word, some in (("best", best), ("worst", worst)):
        if some:
            table.add_section()
        for label, value, count in some:
            table.add_row(f"{word}: {label}", _percent(value), str(count))
    return table


def _proposal_table(scores: ProposalScores, name: str) -> Table:
    table = _titled(f"{name}: average recall on {_described(scores.scene)}, in %")
    for number, recall in scores.ar_at_an().items():
        table.add_row(f"AR@{number}", _percent(recall))
    table.add_section()
    table.add_row("AUC", f"{scores.result.auc:.2f}", style="bold")
    return table


def _titled(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("score", justify="right")
    return table


def _described(scene: Scene) -> str:
    return f"{scene.subset} ({len(scene.truth.video_ids)} videos, {scene.truth.start_s.size} segments)"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"
