"""What a run came to: `summary.json` for programs, one table for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from talaria.log import console, duration_text
from talaria.pipeline.data import source_paths
from talaria.pipeline.end_to_end import frames_folder
from talaria.pipeline.fusion import Fused
from talaria.pipeline.fusion_result import DETECTIONS
from talaria.pipeline.graph import feature_backbones
from talaria.pipeline.session import Session
from talaria.pipeline.videos import unlike_annotated
from talaria.records import Dataset
from talaria.store.files import read_json, write_json
from talaria.store.ledger import Ledger

SUMMARY = "summary.json"


def write_summary(session: Session, dataset: Dataset, fused: Fused) -> None:
    """Put `summary.json` into the run's folder; the same results give the same file."""
    path = session.folder / SUMMARY
    summary = {
        "run": session.config.run.name,
        "subset": session.config.data.judge_subset,
        **fused.result,
        "failed_videos": failed_videos(session, dataset),
        "seconds": session.seconds(),
        "detections": str(fused.folder / DETECTIONS),
        "annotations": str(source_paths(session)[1]),
        "tracking_uri": session.tracking_uri,
    }
    if not path.is_file() or read_json(path) != summary:
        write_json(path, summary)


def failed_videos(session: Session, dataset: Dataset) -> list[dict[str, str]]:
    """Every video that failed somewhere, and training videos left out for their length; each reason once."""
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    data = session.config.data
    folders = [session.folder / "features" / name for name in feature_backbones(session.config)]
    folders += [frames_folder(session, node) for node in session.config.end_to_end.values()]
    for folder in folders:
        ledger = Ledger(folder)
        rows = [{"video_id": r.video_id, "stage": r.stage, "reason": r.reason} for r in ledger.failed()]
        rows += unlike_annotated(dataset.subset(data.train_subset), ledger, data.length_tolerance_frac)
        for row in rows:
            found.setdefault((row["video_id"], row["stage"], row["reason"]), row)
    return [found[key] for key in sorted(found)]


def show_summary(session: Session) -> None:
    """The one table at the end, and what to do next."""
    summary: dict[str, Any] = read_json(session.folder / SUMMARY)
    console.print()
    console.print(_members(summary))
    if "classifiers" in summary:
        console.print(_classifiers(summary["classifiers"], summary["subset"]))
    if summary["failed_videos"]:
        console.print(_failed(summary["failed_videos"]))
    spent = ", ".join(f"{name} {duration_text(s)}" for name, s in summary["seconds"].items())
    total = duration_text(sum(summary["seconds"].values()))
    console.print(f"time: {total} ({spent})")
    if not session.worked:
        console.print("everything was finished earlier; nothing was done again")
    console.print(f"detections: {summary['detections']}")
    console.print(f"summary:    {session.folder / SUMMARY}")
    console.print(f"mlflow:     {summary['tracking_uri']}  (make ui opens it on http://127.0.0.1:5000)")
    recipe = session.folder / "recipe.json"
    console.print("next:       make ui, set the tag talaria.member on the runs you want, then")
    console.print(f"            python jobs/ensemble.py --recipe {recipe}")


def _members(summary: dict[str, Any]) -> Table:
    title = f"{summary['run']}: average mAP on {summary['subset']} (tIoU 0.5:0.05:0.95), in %"
    table = Table(title=title, title_justify="left", title_style="bold")
    columns = (("", "left"), ("mAP", "right"), ("mAP@0.5", "right"), ("weight", "right"), ("adds", "right"))
    for column, justify in columns:
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for member in summary["members"]:
        scores = _percent(member["average_map"], member["map_at_50"])
        table.add_row(
            member["name"], *scores, f"{member['weight']:.3f}", f"{100 * member['leave_one_out']:+.2f}"
        )
    table.add_section()
    table.add_row("best member", *_percent(summary["best_member_map"]), "", "")
    table.add_row("equal weights", *_percent(summary["equal_weights_map"]), "", "")
    learned = _percent(summary["learned_weights_map"], summary["learned_map_at_50"])
    table.add_row(f"learned weights ({summary['way']})", *learned, "", "", style="bold")
    return table


def _classifiers(found: dict[str, Any], subset: str) -> Table:
    title = f"videos of {subset} whose best class is right (top-1), in %"
    table = Table(title=title, title_justify="left", title_style="bold")
    for column, justify in (("", "left"), ("top-1", "right"), ("weight", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for member in found["members"]:
        table.add_row(member["name"], f"{100 * member['top_1']:.2f}", f"{member['weight']:.3f}")
    table.add_section()
    table.add_row("best classifier", f"{100 * found['best_top_1']:.2f}", "")
    table.add_row("equal weights", f"{100 * found['equal_top_1']:.2f}", "")
    chosen = {"learned": "", "equal": " (equal)", "single": " (one model)"}[found["choice"]]
    table.add_row(f"learned weights{chosen}", f"{100 * found['learned_top_1']:.2f}", "", style="bold")
    return table


def _failed(rows: list[dict[str, str]]) -> Table:
    table = Table(title="videos that failed or were left out", title_justify="left", title_style="bold")
    for column in ("video", "stage", "reason"):
        table.add_column(column, overflow="fold")
    for row in rows[:20]:
        table.add_row(row["video_id"], row["stage"], row["reason"].replace(str(Path.home()), "~"))
    if len(rows) > 20:
        table.add_row(f"and {len(rows) - 20} more", "", "see ledger.parquet beside the features")
    return table


def _percent(*values: float) -> list[str]:
    return [f"{100 * value:.2f}" for value in values] + [""] * (2 - len(values))
