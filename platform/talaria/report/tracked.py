"""Scores in MLflow: one run for one question about the same files, however often it is asked."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from talaria.config.fingerprint import fingerprint
from talaria.errors import ConfigError
from talaria.report.judging import Question, Task
from talaria.report.scores import ErrorScores, Scores, write_scores
from talaria.tracking.connection import sqlite_path
from talaria.tracking.mlflow_tracker import Tracker


def log_scores(uri: str, experiment: str, task: Task, question: Question, scores: Scores) -> None:
    """Log the metrics of some scores, their JSON and their figures, as a run of the kind `evaluation`.

    The run is named after the predictions file and found again by the content of the files, so that the same
    question makes no second run.

    Raises:
        ConfigError: the server does not answer: unlike a pipeline's, this logging was asked for.
    """
    database = sqlite_path(uri)
    tracker = Tracker(uri, experiment, database and database.parent / "mlflow_artifacts")
    params = {
        "task": task,
        "annotations": str(question.annotations),
        "predictions": str(question.predictions),
        "subset": scores.scene.subset,
        "rules": question.rules,
        "tiou": question.thresholds().tolist(),
    }
    if question.against is not None:
        params["against"] = str(question.against)
    run = tracker.run(_key(task, question), question.predictions.name, "evaluation", params=params)
    tracker.metrics(run, scores.metrics())
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "scores.json"
        write_scores(scores, written)
        tracker.artifact(run, written)
    for figure in scores.figures if isinstance(scores, ErrorScores) else ():
        tracker.artifact(run, figure, "figures")
    tracker.finish(run)
    if tracker.unsent:
        raise ConfigError(f"--mlflow: {uri} does not answer; the scores were not logged")


def _key(task: Task, question: Question) -> str:
    files = [
        path for path in (question.annotations, question.predictions, question.against) if path is not None
    ]
    content = [_digest(path) for path in files]
    settings = (question.subset, question.rules, question.thresholds().tolist(), question.top_k)
    return f"evaluation/{fingerprint([task, content, settings, question.num_resamples])}"


def _digest(path: Path) -> str:
    """Of a file's content, or of all files of a folder (THUMOS14's annotations may be one)."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()
