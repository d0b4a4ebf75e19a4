"""What an ensemble of classifiers says about every video, and what its weights are worth on judged videos.

A video of the subset to fit on is always classified by weights that did not see it, so that what is learned
with its logits (members' weights, post-processing) meets them as it will meet those of new videos.

Letters: M classifiers, V videos, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talaria.ensemble.classifier_set import ClassifierSet
from talaria.ensemble.classifiers import ClassifierWeights, cross_fusion, fused_logits, learned_weights
from talaria.errors import ConfigError
from talaria.evaluation.arrays import FloatArray, LabelScores
from talaria.evaluation.classification import classification_scores
from talaria.evaluation.video_labels import VideoLabels


@dataclass(frozen=True, eq=False)
class Classified:
    """A judged ensemble of classifiers.

    Attributes:
        released: weights from all videos to fit on: what new videos are classified with.
        logits: (K,) fused logits by video.
        top_1: share of the judged videos whose best class is right, for each classifier alone.
        equal_top_1: of equal weights.
        learned_top_1: of the fused logits.
    """

    released: ClassifierWeights
    logits: dict[str, FloatArray]
    top_1: dict[str, float]
    equal_top_1: float
    learned_top_1: float

    @property
    def summary(self) -> dict[str, Any]:
        """Everything but the logits, as JSON types."""
        weights = dict(zip(self.released.members, self.released.weights, strict=True))
        return {
            "members": [
                {"name": name, "top_1": top_1, "weight": weights[name]} for name, top_1 in self.top_1.items()
            ],
            "best_top_1": max(self.top_1.values()),
            "equal_top_1": self.equal_top_1,
            "learned_top_1": self.learned_top_1,
            "choice": self.released.choice,
            "log_losses": self.released.losses,
        }


def classified(
    logits: Mapping[str, Mapping[str, NDArray[np.floating]]],
    fit_labels: VideoLabels,
    judge_labels: VideoLabels | None,
    *,
    folds: int,
) -> Classified:
    """Learn one weight for each classifier, fuse all videos, judge.

    Args:
        logits: by classifier and video, (K,) each.
        fit_labels: the videos to learn from.
        judge_labels: the videos to judge; None judges those that are fitted on, cross-fitted.
        folds: of the cross-validation and of the cross-fitting.

    Raises:
        ConfigError: a judged video is fitted on, too, or there are too few labelled videos for so many folds.
        DataError: videos that only some classifiers know, or that no label is known of.
    """
    fit_set = ClassifierSet.of(logits, fit_labels)
    _check_folds(fit_set, folds)
    judge_set = ClassifierSet.of(logits, judge_labels) if judge_labels else fit_set
    released = learned_weights(fit_set, folds=folds, judged=judge_labels.video_ids if judge_labels else ())
    fit_VK = cross_fusion(fit_set, folds=folds).logits_VK
    judge_VK = fused_logits(judge_set.logits_MVK, released.weights) if judge_labels else fit_VK
    truth, count = judge_labels or fit_labels, len(judge_set.members)
    alone = zip(judge_set.members, judge_set.logits_MVK, strict=True)
    return Classified(
        released,
        dict(zip((*fit_set.video_ids, *judge_set.video_ids), (*fit_VK, *judge_VK), strict=True)),
        {name: _top_1(one_VK, judge_set, truth) for name, one_VK in alone},
        _top_1(fused_logits(judge_set.logits_MVK, [1 / count] * count), judge_set, truth),
        _top_1(judge_VK, judge_set, truth),
    )


def _top_1(logits_VK: FloatArray, data: ClassifierSet, truth: VideoLabels) -> float:
    """Share of labelled videos whose best class is one of theirs; one that was not classified is a miss."""
    number = {video_id: index for index, video_id in enumerate(truth.video_ids)}
    video_idx = np.array([number[video_id] for video_id in data.video_ids], np.int64)
    best = LabelScores(video_idx, logits_VK.argmax(axis=1), np.ones(len(video_idx)))
    return float(classification_scores(truth, best, 1).hit_at_k[0])


def _check_folds(fit_set: ClassifierSet, folds: int) -> None:
    """Without one part there must be enough videos left to cross-validate on."""
    num_videos = len(fit_set.labelled().video_ids)
    left = num_videos - -(-num_videos // folds)
    if left < folds:
        raise ConfigError(
            f"ensemble.folds: found {folds} for {num_videos} labelled videos, from which weights of "
            f"classifiers are learned; expected no more than the {left} that are left without one fold"
        )
