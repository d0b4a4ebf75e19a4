"""A quick score of a detector in training: class-agnostic average mAP of its proposals."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from talaria.config.postprocess import PostprocessConfig
from talaria.evaluation.arrays import Detections, GroundTruth
from talaria.evaluation.detection import detection_map
from talaria.evaluation.suppression import soft_nms
from talaria.prediction.inputs import resized_features
from talaria.store.feature_store import FeatureStore
from talaria_models.bmn.decode import probabilities, proposals


@dataclass(frozen=True)
class JudgedVideos:
    """Held-out videos with their features ready and their truth at hand.

    Attributes:
        truth: all labels replaced by one, times in seconds.
        features: (1, C, T) per video, in the order of `truth.video_ids`.
        durations_s: decoded lengths in the same order.
    """

    truth: GroundTruth
    features: tuple[Tensor, ...]
    durations_s: tuple[float, ...]
    settings: PostprocessConfig = field(default_factory=PostprocessConfig)

    def score(self, model: nn.Module) -> float:
        """Average mAP of the model's proposals over tIoU 0.5:0.05:0.95, in [0, 1]."""
        device = next(model.parameters()).device
        model.eval()
        found = [self._proposals(model, features.to(device)) for features in self.features]
        durations = np.array(self.durations_s)
        video_idx = np.concatenate([np.full(len(scores), i) for i, (_, scores) in enumerate(found)])
        segments = np.concatenate([rows * durations[i] for i, (rows, _) in enumerate(found)])
        scores = np.concatenate([scores for _, scores in found])
        detections = Detections(video_idx, np.zeros_like(video_idx), segments[:, 0], segments[:, 1], scores)
        return detection_map(self.truth, detections).average_map

    @torch.inference_mode()
    def _proposals(self, model: nn.Module, features_1CT: Tensor) -> tuple[np.ndarray, np.ndarray]:
        raw = probabilities(model(features_1CT))
        chosen = self.settings
        segments_frac, scores = proposals(
            raw.start_BT[0].cpu().numpy(),
            raw.end_BT[0].cpu().numpy(),
            raw.bm_map_BMDT[0].cpu().numpy(),
            map_classification_power=chosen.map_classification_power,
            map_regression_power=chosen.map_regression_power,
            boundary_power=chosen.boundary_power,
            top=chosen.proposals_per_video,
        )
        kept = soft_nms(
            segments_frac,
            scores,
            low=chosen.low,
            high=chosen.high,
            alpha=chosen.alpha,
            top=chosen.detections_per_video,
        )
        return segments_frac[kept.index], kept.score


def judged_videos(store: FeatureStore, truth: GroundTruth, num_bins: int) -> JudgedVideos:
    """Read the features of the videos of `truth`."""
    stride_s = store.contract.stride_s
    stored = [store.read(video_id) for video_id in truth.video_ids]
    features = tuple(resized_features(video, stride_s, num_bins) for video in stored)
    return JudgedVideos(truth, features, tuple(video.decoded_s for video in stored))
