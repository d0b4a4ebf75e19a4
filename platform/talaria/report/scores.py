"""Official files in, scores out: what jobs/evaluate.py prints and writes.

Letters: K classes, T thresholds.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from talaria.data.annotations import SUBSETS, load_annotations
from talaria.errors import ConfigError, DataError
from talaria.evaluation.arrays import UNKNOWN, Detections, FloatArray, GroundTruth
from talaria.evaluation.detection import ACTIVITYNET_THRESHOLDS, DetectionResult, detection_map
from talaria.evaluation.formats import read_detections
from talaria.evaluation.proposals import ProposalResult, average_recall
from talaria.records import Detection
from talaria.store.files import written_aside

Task: TypeAlias = Literal["detection", "proposals"]
AVERAGE_NUMBERS = (1, 5, 10, 100)
"""AN of the AR@AN that are reported."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Truths and predictions of one subset, and what a reader of the scores should know about the files.

    Attributes:
        subset: its name.
        truth: the truths of its videos.
        predictions: all rows of the file; of videos outside the subset they have no number.
        notes: one sentence per oddity, those that touch the scores first.
    """

    subset: str
    truth: GroundTruth
    predictions: Detections
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class DetectionScores:
    """Average mAP of a scene."""

    scene: Scene
    result: DetectionResult

    def ranked_classes(self) -> list[tuple[str, float, int]]:
        """Classes with truths as (label, AP averaged over thresholds, truths), the best first."""
        average_K, counts_K = self.result.ap_TK.mean(axis=0), self.result.num_truths
        order = sorted(np.flatnonzero(counts_K).tolist(), key=lambda k: (-average_K[k], k))
        return [(self.scene.truth.classes[k], float(average_K[k]), int(counts_K[k])) for k in order]

    def as_json(self) -> dict[str, Any]:
        """`map_at_tiou` and the list of each class are in the order of `tiou`; only classes with truths."""
        result, classes = self.result, self.scene.truth.classes
        return {
            "task": "detection",
            "subset": self.scene.subset,
            "tiou": result.tiou_thresholds.tolist(),
            "average_map": result.average_map,
            "map_at_tiou": result.map_at_tiou.tolist(),
            "per_class_ap": {
                classes[k]: result.ap_TK[:, k].tolist() for k in np.flatnonzero(result.num_truths).tolist()
            },
        }


@dataclass(frozen=True, eq=False)
class ProposalScores:
    """AR@AN of a scene."""

    scene: Scene
    result: ProposalResult

    def ar_at_an(self) -> dict[int, float]:
        """Average recall at each of AVERAGE_NUMBERS."""
        return {number: self.result.at(number) for number in AVERAGE_NUMBERS}

    def as_json(self) -> dict[str, Any]:
        """`auc` is in percent, as the official code gives it; `curve` holds every point of AR@AN."""
        result = self.result
        return {
            "task": "proposals",
            "subset": self.scene.subset,
            "tiou": result.tiou_thresholds.tolist(),
            "ar_at_an": {str(number): recall for number, recall in self.ar_at_an().items()},
            "auc": result.auc,
            "curve": {
                "average_number": result.average_number.tolist(),
                "average_recall": result.ar_at_an.tolist(),
            },
        }


Scores: TypeAlias = DetectionScores | ProposalScores


def score_files(
    task: Task, annotations: Path, predictions: Path, subset: str, tiou: Sequence[float] = ()
) -> Scores:
    """Score an official predictions file on one subset of an annotation file.

    Args:
        task: `detection` for average mAP, `proposals` for AR@AN, which reads no labels.
        annotations: HACS or ActivityNet JSON, plain or gzip; no video file is needed.
        predictions: official JSON, plain or gzip.
        subset: whose videos count; predictions of other videos are false positives.
        tiou: thresholds in (0, 1]; none means 0.5:0.05:0.95.

    Raises:
        ConfigError: a threshold outside (0, 1].
        DataError: everything wrong with a file, or a subset without annotated videos.
    """
    thresholds = checked_tiou(tiou)
    scene = read_scene(task, annotations, predictions, subset)
    if task == "detection":
        return DetectionScores(scene, detection_map(scene.truth, scene.predictions, thresholds))
    return ProposalScores(scene, average_recall(scene.truth, scene.predictions, thresholds))


def checked_tiou(tiou: Sequence[float]) -> FloatArray:
    """The thresholds as an array, the ActivityNet ones where none are given.

    Raises:
        ConfigError: naming each that is not in (0, 1].
    """
    wrong = [value for value in tiou if not 0 < value <= 1]
    if wrong:
        raise ConfigError([f"--tiou: found {value:g}, expected numbers in (0, 1]" for value in wrong])
    return np.array(tiou, np.float64) if tiou else ACTIVITYNET_THRESHOLDS


def read_scene(task: Task, annotations: Path, predictions: Path, subset: str) -> Scene:
    """Both files, with videos and labels numbered.

    Raises:
        DataError: everything wrong with a file, or a subset without annotated videos.
    """
    loaded = load_annotations(annotations, None, subsets=tuple(dict.fromkeys((*SUBSETS, subset))))
    dataset = loaded.dataset
    videos = dataset.subset(subset)
    if not any(video.annotations for video in videos):
        what = "no annotated segment" if videos else "no video"
        raise DataError(
            f"{annotations}: {what} in subset {subset!r} (--subset); found {', '.join(dataset.subsets())}"
        )
    truth = GroundTruth.of_videos(videos, dataset.classes)
    if task == "detection":
        results = read_detections(predictions, dataset.classes)
    else:
        results = _unlabelled(read_detections(predictions, label_if_absent=""), dataset.classes[0])
    scored = Detections.of_results(results, truth)
    return Scene(subset, truth, scored, (*_coverage(predictions, results, truth, scored), *loaded.notes))


def write_scores(scores: Scores, path: Path) -> None:
    """Write the scores as JSON, gzipped if the name ends in `.gz`; whole or not at all.

    Raises:
        ConfigError: the file cannot be written.
    """
    content = (json.dumps(scores.as_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    try:
        with written_aside(path) as aside:
            aside.write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror}); name another file with --json"
        ) from None


def _unlabelled(results: dict[str, tuple[Detection, ...]], label: str) -> dict[str, tuple[Detection, ...]]:
    """The same segments, all with one known label: proposals may have any or none."""
    return {
        video_id: tuple(Detection(found.start_s, found.end_s, label, found.score) for found in listed)
        for video_id, listed in results.items()
    }


def _coverage(
    predictions: Path, results: dict[str, tuple[Detection, ...]], truth: GroundTruth, scored: Detections
) -> tuple[str, ...]:
    """How videos of the file and of the subset do not match."""
    strange = int((scored.video_idx == UNKNOWN).sum())
    silent = sum(not results.get(video_id) for video_id in truth.video_ids)
    notes = []
    if strange:
        notes.append(
            f"{predictions}: {strange} of {scored.score.size} rows are of videos outside the subset: they "
            "count as predictions of it that hit nothing"
        )
    if silent:
        notes.append(
            f"{predictions}: has nothing for {silent} of {len(truth.video_ids)} videos of the subset"
        )
    return tuple(notes)
