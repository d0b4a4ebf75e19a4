"""Quick scores of a model in training, on held-out videos whose features are in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from talaria.config.postprocess import PostprocessConfig
from talaria.evaluation.arrays import Detections, GroundTruth
from talaria.evaluation.detection import detection_map
from talaria.prediction.belief import Scored
from talaria.prediction.inputs import resized_features, whole_features
from talaria.prediction.members import believed
from talaria.prediction.models import device_of
from talaria.prediction.refiners import Stages, refined
from talaria.prediction.suppressing import suppress
from talaria.store.feature_store import FeatureStore
from talaria.store.proposal_store import ProposalStore, VideoProposals


class Judge(Protocol):
    """What a model is worth on held-out videos."""

    def score(self, model: nn.Module) -> float:
        """In [0, 1], higher is better; the model is in evaluation mode afterwards."""
        ...


@dataclass(frozen=True)
class JudgedDetector:
    """Average mAP of a detector's proposals, all labels taken as one, over tIoU 0.5:0.05:0.95.

    Attributes:
        truth: with one label for everything, times in seconds.
        features: (1, C, T) per video, in the order of `truth.video_ids`.
        durations_s: decoded lengths in the same order.
        settings: how segments are scored and suppressed.
    """

    truth: GroundTruth
    features: tuple[Tensor, ...]
    durations_s: tuple[float, ...]
    settings: PostprocessConfig

    def score(self, model: nn.Module) -> float:
        model.eval()
        found = [self._candidates(model, features) for features in self.features]
        return proposals_map(self.truth, self.durations_s, found, self.settings)

    @torch.inference_mode()
    def _candidates(self, model: nn.Module, features_1CT: Tensor) -> Scored:
        about = {"video_id": "", "duration_s": 1.0, "class_logits_RK": np.zeros((1, 1), np.float32)}
        output = model(features_1CT.to(device_of(model)))
        return believed(model, output, about).candidates(self.settings)


@dataclass(frozen=True)
class JudgedRefiner:
    """The same of refined proposals.

    Attributes:
        truth: with one label for everything, times in seconds.
        features: (1, C, T) per video at its own rate, and the video's length as a fraction of their span.
        offered: the proposals of each video, in the order of `truth.video_ids`.
        stages: whose segments count.
        settings: how segments are scored and suppressed.
    """

    truth: GroundTruth
    features: tuple[tuple[Tensor, float], ...]
    offered: tuple[VideoProposals, ...]
    stages: Stages
    settings: PostprocessConfig

    def score(self, model: nn.Module) -> float:
        model.eval()
        no_logits = np.zeros((1, 1), np.float32)
        found = [
            refined(model, features, scale, offered, offered.duration_s, self.stages, no_logits)
            for (features, scale), offered in zip(self.features, self.offered, strict=True)
        ]
        durations_s = [offered.duration_s for offered in self.offered]
        candidates = [one.candidates(self.settings) for one in found]
        return proposals_map(self.truth, durations_s, candidates, self.settings)


@dataclass(frozen=True)
class JudgedClassifier:
    """Share of videos whose best class is one of their labels (top-1).

    Attributes:
        features: (1, C, T) of each video.
        labels: class indices of each video, at least one.
    """

    features: tuple[Tensor, ...]
    labels: tuple[frozenset[int], ...]

    @torch.inference_mode()
    def score(self, model: nn.Module) -> float:
        model.eval()
        device = device_of(model)
        best = [int(model(features.to(device)).logits_BK[0].argmax()) for features in self.features]
        return sum(one in true for one, true in zip(best, self.labels, strict=True)) / len(self.labels)


def proposals_map(
    truth: GroundTruth,
    durations_s: Sequence[float],
    candidates: Sequence[Scored],
    settings: PostprocessConfig,
) -> float:
    """Average mAP of scored segments after suppression, in [0, 1].

    Args:
        truth: with one label.
        durations_s: lengths of its videos.
        candidates: of each video.
        settings: of suppression, and how many segments of a video are kept.
    """
    video_idx, segments_s, scores = [], [], []
    for index, (segments_frac, score_P, _) in enumerate(candidates):
        kept = suppress(segments_frac, score_P, settings)
        video_idx.append(np.full(len(kept.score), index))
        segments_s.append(segments_frac[kept.index] * durations_s[index])
        scores.append(kept.score)
    video, segments = np.concatenate(video_idx), np.concatenate(segments_s)
    found = Detections(video, np.zeros_like(video), segments[:, 0], segments[:, 1], np.concatenate(scores))
    return detection_map(truth, found).average_map


def judged_detector(
    store: FeatureStore, truth: GroundTruth, num_bins: int, settings: PostprocessConfig
) -> JudgedDetector:
    """Read the features of the videos of `truth`."""
    stored = [store.read(video_id) for video_id in truth.video_ids]
    features = tuple(resized_features(video, store.contract.stride_s, num_bins) for video in stored)
    return JudgedDetector(truth, features, tuple(video.decoded_s for video in stored), settings)


def judged_refiner(
    store: FeatureStore,
    offered: ProposalStore,
    truth: GroundTruth,
    max_snippets: int,
    stages: Stages,
    settings: PostprocessConfig,
) -> JudgedRefiner:
    """Read the features and proposals of the videos of `truth`."""
    features = tuple(
        whole_features(store.read(video_id), store.contract.stride_s, max_snippets)
        for video_id in truth.video_ids
    )
    proposed = tuple(offered.read(video_id) for video_id in truth.video_ids)
    return JudgedRefiner(truth, features, proposed, stages, settings)


def judged_classifier(
    store: FeatureStore, labels: dict[str, frozenset[int]], num_bins: int
) -> JudgedClassifier:
    """Read the features of some videos, whose class indices `labels` holds."""
    stored = [store.read(video_id) for video_id in labels]
    features = tuple(resized_features(video, store.contract.stride_s, num_bins) for video in stored)
    return JudgedClassifier(features, tuple(labels.values()))
