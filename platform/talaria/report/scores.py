"""What predictions are worth: the numbers of a task, as an object that tables, JSON and MLflow read.

Letters: K classes, T thresholds.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from talaria.errors import ConfigError
from talaria.evaluation.arrays import FloatArray
from talaria.evaluation.classification import ClassificationResult
from talaria.evaluation.comparison import Comparison
from talaria.evaluation.detection import DetectionResult
from talaria.evaluation.errors import ErrorAnalysis
from talaria.evaluation.proposals import ProposalResult
from talaria.report.scene import Scene
from talaria.store.files import written_aside

AVERAGE_NUMBERS = (1, 5, 10, 100)
"""AN of the AR@AN that are reported."""


class Scores(Protocol):
    """What every task answers with.

    Attributes:
        scene: what was judged by.
        notes: what a reader of the scores should know about the files, what touches the scores first.
    """

    @property
    def scene(self) -> Scene: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def as_json(self) -> dict[str, Any]:
        """Everything, as finite numbers, text and null."""
        ...

    def metrics(self) -> dict[str, float]:
        """The few numbers that runs are compared by."""
        ...


@dataclass(frozen=True, eq=False)
class DetectionScores:
    """Average mAP."""

    scene: Scene
    notes: tuple[str, ...]
    result: DetectionResult

    def ranked_classes(self) -> list[tuple[str, float, int]]:
        """Classes with truths as (label, AP averaged over thresholds, truths), the best first."""
        average_K, counts_K = self.result.ap_TK.mean(axis=0), self.result.num_truths
        order = sorted(np.flatnonzero(counts_K).tolist(), key=lambda k: (-average_K[k], k))
        return [(self.scene.classes[k], float(average_K[k]), int(counts_K[k])) for k in order]

    def as_json(self) -> dict[str, Any]:
        """`map_at_tiou` and the list of each class are in the order of `tiou`; only classes with truths."""
        result, classes = self.result, self.scene.classes
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

    def metrics(self) -> dict[str, float]:
        """Average mAP and mAP at each threshold."""
        at_tiou = zip(self.result.tiou_thresholds, self.result.map_at_tiou, strict=True)
        return {
            "average_map": self.result.average_map,
            **{f"map_at_{100 * tiou:.4g}": float(value) for tiou, value in at_tiou},
        }


@dataclass(frozen=True, eq=False)
class ProposalScores:
    """AR@AN and its area."""

    scene: Scene
    notes: tuple[str, ...]
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

    def metrics(self) -> dict[str, float]:
        """AUC and AR@AN."""
        return {"auc": self.result.auc, **{f"ar_at_{n}": recall for n, recall in self.ar_at_an().items()}}


@dataclass(frozen=True, eq=False)
class ClassificationScores:
    """Top-k and mean average precision of video labels."""

    scene: Scene
    notes: tuple[str, ...]
    result: ClassificationResult

    def ranked_classes(self) -> list[tuple[str, float, int]]:
        """Classes with videos as (label, AP, videos), the best first."""
        labels, ap_K = self.scene.labels, self.result.ap_K
        counts_K = np.bincount(labels.label_idx, minlength=len(labels.classes))
        order = sorted(np.flatnonzero(counts_K).tolist(), key=lambda k: (-ap_K[k], k))
        return [(labels.classes[k], float(ap_K[k]), int(counts_K[k])) for k in order]

    def as_json(self) -> dict[str, Any]:
        """`top_k`: the share of videos with a true label among their k best, by k."""
        result = self.result
        return {
            "task": "classification",
            "subset": self.scene.subset,
            "mean_ap": result.mean_ap,
            "top_k": _by_k(result.top_k, result.hit_at_k),
            "average_top_k": _by_k(result.top_k, result.average_hit_at_k),
            "per_class_ap": {label: value for label, value, _ in self.ranked_classes()},
        }

    def metrics(self) -> dict[str, float]:
        """Mean average precision and top-k."""
        hits = _by_k(self.result.top_k, self.result.hit_at_k)
        return {"mean_ap": self.result.mean_ap, **{f"top_{k}": share for k, share in hits.items()}}


@dataclass(frozen=True, eq=False)
class ErrorScores:
    """What is wrong with some detections, and what each kind of mistake costs; `figures` were drawn of it."""

    scene: Scene
    notes: tuple[str, ...]
    analysis: ErrorAnalysis
    figures: tuple[Path, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """See `ErrorAnalysis.as_json`."""
        return {"task": "errors", "subset": self.scene.subset, **self.analysis.as_json()}

    def metrics(self) -> dict[str, float]:
        """Average mAP, and the part of it that each kind of mistake costs."""
        content = self.analysis.as_json()
        gains = content["false_positives"]["gained_without"]
        costs = {f"gained_without_{kind}": gain["average_map"] for kind, gain in gains.items()}
        return {"average_map": content["average_map"], **costs}


@dataclass(frozen=True, eq=False)
class ComparisonScores:
    """Two predictions files on the same videos."""

    scene: Scene
    notes: tuple[str, ...]
    comparison: Comparison

    def as_json(self) -> dict[str, Any]:
        """See `Comparison.as_json`."""
        return {"task": "compare", "subset": self.scene.subset, **self.comparison.as_json()}

    def metrics(self) -> dict[str, float]:
        """All plain numbers of the comparison."""
        return {
            name: float(value)
            for name, value in self.comparison.as_json().items()
            if isinstance(value, int | float) and math.isfinite(value)
        }


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


def _by_k(top_k: Sequence[int], shares: FloatArray) -> dict[str, float]:
    return {str(k): float(share) for k, share in zip(top_k, shares, strict=True)}
