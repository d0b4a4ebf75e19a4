"""Scores and detections as tables for the console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from talaria.records import Detection
from talaria.report.comparison_tables import comparison_tables
from talaria.report.error_tables import error_tables
from talaria.report.scores import (
    ClassificationScores,
    ComparisonScores,
    DetectionScores,
    ErrorScores,
    ProposalScores,
    Scores,
)

_SHOWN_CLASSES = 5
_SHOWN_DETECTIONS = 5


def scores_tables(scores: Scores, names: Sequence[str]) -> list[Table]:
    """What matters of some scores.

    Args:
        scores: of any task.
        names: what was scored; two names for a comparison.
    """
    match scores:
        case DetectionScores():
            return [_detection_table(scores, names[0])]
        case ProposalScores():
            return [_proposal_table(scores, names[0])]
        case ClassificationScores():
            return [_classification_table(scores, names[0])]
        case ErrorScores():
            return error_tables(scores.analysis, f"{names[0]} on {scores.scene.described()}")
        case ComparisonScores():
            return comparison_tables(scores.comparison, *names)
    raise TypeError(f"no table for {type(scores).__name__}")


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
    result = scores.result
    table = _titled(f"{name}: mAP on {scores.scene.described()}, in %")
    table.add_column("truths", justify="right")
    table.add_row("average mAP", _percent(result.average_map), "", style="bold")
    for tiou, value in zip(result.tiou_thresholds, result.map_at_tiou, strict=True):
        table.add_row(f"mAP@{tiou:.4g}", _percent(float(value)), "")
    _add_classes(table, scores.ranked_classes())
    return table


def _proposal_table(scores: ProposalScores, name: str) -> Table:
    table = _titled(f"{name}: average recall on {scores.scene.described()}, in %")
    for number, recall in scores.ar_at_an().items():
        table.add_row(f"AR@{number}", _percent(recall))
    table.add_section()
    table.add_row("AUC", f"{scores.result.auc:.2f}", style="bold")
    return table


def _classification_table(scores: ClassificationScores, name: str) -> Table:
    result = scores.result
    table = _titled(f"{name}: labels of whole videos on {scores.scene.described()}, in %")
    table.add_column("videos", justify="right")
    table.add_row("mean AP", _percent(result.mean_ap), "", style="bold")
    for k, share in zip(result.top_k, result.hit_at_k, strict=True):
        table.add_row(f"top-{k}", _percent(float(share)), "")
    _add_classes(table, scores.ranked_classes())
    return table


def _add_classes(table: Table, ranked: Sequence[tuple[str, float, int]]) -> None:
    """The best and the worst classes, none twice."""
    best, worst = ranked[:_SHOWN_CLASSES], ranked[_SHOWN_CLASSES:][-_SHOWN_CLASSES:]
    for word, some in (("best", best), ("worst", worst)):
        if some:
            table.add_section()
        for label, value, count in some:
            table.add_row(f"{word}: {label}", _percent(value), str(count))


def _titled(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("score", justify="right")
    return table


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"
