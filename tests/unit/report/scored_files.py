"""Small annotation and prediction files, shared by the tests of this folder."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]

DATABASE: dict[str, Any] = {
    "a": {
        "duration": "20.0",
        "subset": "validation",
        "annotations": [{"segment": [0, 10], "label": "jump"}, {"segment": [12, 16], "label": "run"}],
    },
    "b": {"duration": 30, "subset": "validation", "annotations": [{"segment": [5, 15], "label": "jump"}]},
    "c": {"duration": 30, "subset": "training", "annotations": [{"segment": [5, 15], "label": "swim"}]},
}


def row(start: float, end: float, score: float, label: str = "jump") -> dict[str, Any]:
    """One entry of a predictions file."""
    return {"segment": [start, end], "score": score, "label": label}


PERFECT = {
    "a": [row(0, 10, 0.9), row(12, 16, 0.8, "run")],
    "b": [row(5, 15, 0.9)],
}


def annotations(folder: Path, database: dict[str, Any] | None = None) -> Path:
    """A gzipped annotation file."""
    path = folder / "annotations.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"database": database or DATABASE}).encode()))
    return path


def predictions(folder: Path, results: dict[str, Any]) -> Path:
    """A predictions file."""
    path = folder / "predictions.json"
    path.write_text(json.dumps({"version": "VERSION 1.3", "results": results, "external_data": {}}))
    return path


def job(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a job as a person does."""
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
