"""Files in, scores out: what every task of jobs/evaluate.py does with its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from talaria.errors import ConfigError
from talaria.evaluation.arrays import Detections, FloatArray
from talaria.evaluation.classification import classification_scores
from talaria.evaluation.comparison import compare
from talaria.evaluation.detection import ACTIVITYNET_THRESHOLDS, detection_map
from talaria.evaluation.errors import analyse_errors
from talaria.evaluation.formats import read_label_scores, read_predictions
from talaria.evaluation.proposals import average_recall
from talaria.evaluation.sensitivity import ACTIVITYNET_CHARACTERISTICS, THUMOS14_CHARACTERISTICS
from talaria.evaluation.thumos import THUMOS14_THRESHOLDS, thumos_map
from talaria.report.error_plots import draw_errors
from talaria.report.scene import Scene, read_scene
from talaria.report.scores import (
    ClassificationScores,
    ComparisonScores,
    DetectionScores,
    ErrorScores,
    ProposalScores,
    Scores,
)
from talaria.seeds import content_seed

Task: TypeAlias = Literal["detection", "proposals", "classification", "errors", "compare"]
TASKS: tuple[Task, ...] = get_args(Task)
Rules: TypeAlias = Literal["activitynet", "thumos14"]
RULES: tuple[Rules, ...] = get_args(Rules)


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        annotations: of any layout, see docs/guides/formats.md.
        predictions: of any format there.
        subset: whose videos count; predictions of other videos are false positives.
        tiou: thresholds in (0, 1]; none means those of the rules.
        rules: whose mAP; `thumos14` also has its own thresholds and buckets of error analysis.
        against: the second predictions file of a comparison.
        num_resamples: of a comparison's bootstrap.
        top_k: of classification.
        plots: folder in which an error analysis is drawn.
    """

    annotations: Path
    predictions: Path
    subset: str
    tiou: tuple[float, ...] = ()
    rules: Rules = "activitynet"
    against: Path | None = None
    num_resamples: int = 1000
    top_k: tuple[int, ...] = (1, 3, 5)
    plots: Path | None = None

    def names(self) -> tuple[str, ...]:
        """What was judged, as people call it."""
        return tuple(path.name for path in (self.predictions, self.against) if path is not None)

    def thresholds(self) -> FloatArray:
        """The thresholds as an array.

        Raises:
            ConfigError: naming each that is not in (0, 1].
        """
        wrong = [value for value in self.tiou if not 0 < value <= 1]
        if wrong:
            raise ConfigError([f"--tiou: found {value:g}, expected numbers in (0, 1]" for value in wrong])
        if self.tiou:
            return np.array(self.tiou, np.float64)
        return THUMOS14_THRESHOLDS if self.rules == "thumos14" else ACTIVITYNET_THRESHOLDS


def judge(task: Task, question: Question) -> Scores:
    """Answer one question.

    Raises:
        ConfigError: a setting out of range, or one that the task does not have.
        DataError: everything wrong with a file, or a subset without annotated videos.
    """
    _check(task, question)
    return _ANSWERS[task](question, read_scene(question.annotations, question.subset))


def _check(task: Task, question: Question) -> None:
    """Refuse settings before any file is read."""
    question.thresholds()
    problems = []
    if (question.against is None) == (task == "compare"):
        found = (
            "missing, expected the second predictions file" if task == "compare" else f"not used by {task}"
        )
        problems.append(f"--against: {found}")
    if question.rules == "thumos14" and task not in ("detection", "errors"):
        problems.append(f"--rules: found thumos14, which {task} does not have; expected activitynet")
    if question.plots is not None and task != "errors":
        problems.append(f"--plots: not used by {task}, only by errors")
    if question.num_resamples < 1:
        problems.append(f"--resamples: found {question.num_resamples}, expected 1 or more")
    if not question.top_k or min(question.top_k) < 1:
        problems.append(f"--top-k: found {' '.join(map(str, question.top_k))}, expected numbers of 1 or more")
    if problems:
        raise ConfigError(problems)


def _detection(question: Question, scene: Scene) -> Scores:
    found, notes = _detections(scene, question.predictions)
    mean = thumos_map if question.rules == "thumos14" else detection_map
    return DetectionScores(scene, notes, mean(scene.truth, found, question.thresholds()))


def _proposals(question: Question, scene: Scene) -> Scores:
    found = read_predictions(question.predictions, label_if_absent="").proposals(scene.truth)
    notes = _notes(scene, question.predictions, found)
    return ProposalScores(scene, notes, average_recall(scene.truth, found, question.thresholds()))


def _classification(question: Question, scene: Scene) -> Scores:
    found = read_label_scores(question.predictions, scene.classes).label_scores(scene.labels)
    notes = (*scene.coverage(question.predictions, found.video_idx), *scene.notes)
    return ClassificationScores(scene, notes, classification_scores(scene.labels, found, question.top_k))


def _errors(question: Question, scene: Scene) -> Scores:
    found, notes = _detections(scene, question.predictions)
    thumos = question.rules == "thumos14"
    buckets = THUMOS14_CHARACTERISTICS if thumos else ACTIVITYNET_CHARACTERISTICS
    analysis = analyse_errors(scene.truth, scene.durations_s, found, question.thresholds(), buckets)
    figures: tuple[Path, ...] = ()
    if question.plots is not None:
        figures = tuple(draw_errors(analysis, question.plots.resolve(), question.predictions.name))
    return ErrorScores(scene, notes, analysis, figures)


def _compare(question: Question, scene: Scene) -> Scores:
    assert question.against is not None
    first, notes = _detections(scene, question.predictions)
    second, more = _detections(scene, question.against)
    comparison = compare(
        scene.truth,
        first,
        second,
        question.thresholds(),
        num_resamples=question.num_resamples,
        seed=content_seed("compare", question.subset, question.num_resamples),
    )
    return ComparisonScores(scene, tuple(dict.fromkeys((*notes, *more))), comparison)


_ANSWERS: dict[Task, Callable[[Question, Scene], Scores]] = {
    "detection": _detection,
    "proposals": _proposals,
    "classification": _classification,
    "errors": _errors,
    "compare": _compare,
}


def _detections(scene: Scene, predictions: Path) -> tuple[Detections, tuple[str, ...]]:
    found = read_predictions(predictions, scene.classes).detections(scene.truth)
    return found, _notes(scene, predictions, found)


def _notes(scene: Scene, predictions: Path, found: Detections) -> tuple[str, ...]:
    return (*scene.coverage(predictions, found.video_idx), *scene.notes)
