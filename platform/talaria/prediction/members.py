"""A detector on the features of one backbone: from a video's stored features to what it believes about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from talaria.prediction.belief import Belief
from talaria.prediction.found import FoundPrediction
from talaria.prediction.inputs import resized_features
from talaria.prediction.models import ClassLogits, device_of, restored
from talaria.prediction.raw import RawPrediction
from talaria.prediction.stores import RawMeta, write_raw
from talaria.store.feature_store import FeatureStore, VideoFeatures
from talaria_models.bmn.decode import probabilities
from talaria_models.bmn.model import BMNOutput
from talaria_models.kt_mgfn.decode import found_segments as activation_segments
from talaria_models.kt_mgfn.model import KTMGFN
from talaria_models.s_2d_tan.decode import found_segments as candidate_segments
from talaria_models.s_2d_tan.model import S2DTAN

MOST_SEGMENTS = 600
"""Segments of a video that are kept of a detector without maps."""


@dataclass(frozen=True)
class MemberPlan:
    """What predicts for one member; all folders absolute.

    Attributes:
        meta: what is kept beside the predictions.
        out: folder of the artifact.
        classifier: folder of the video-level classifier, or None where clip scores classify the proposals.
        video_ids: videos to predict, in a fixed order.
    """

    meta: RawMeta
    out: str
    detector: str
    classifier: str | None
    features: str
    video_ids: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The folder of shards."""
        return Path(self.out) / "raw"

    def load(self) -> Callable[[str], Belief]:
        """The member's models."""
        classifier = Path(self.classifier) if self.classifier else None
        return MemberModel(
            features=Path(self.features), detector=Path(self.detector), classifier=classifier
        ).predict

    def write(self, path: Path, rows: list[Belief]) -> None:
        """One shard of raw predictions."""
        write_raw(path, rows, self.meta)


class MemberModel:
    """A detector with the classifier of its features, ready to predict."""

    def __init__(self, *, features: Path, detector: Path, classifier: Path | None) -> None:
        """Load the models and check that they were trained on such features.

        Args:
            features: folder of the feature store.
            detector: folder of the detector.
            classifier: folder of the video-level classifier, if classes come from one.

        Raises:
            DataError: a model was trained on other features; the fields that differ are named.
        """
        self._store = FeatureStore(features)
        self._stride_s = self._store.contract.stride_s
        self._detector, card = restored(detector, self._store)
        self._bins = int(card["num_bins"])
        self._class_logits = ClassLogits(self._store, classifier, self._bins)

    def predict(self, video_id: str) -> Belief:
        """Everything the member believes about one video of its feature store."""
        return self.predict_features(video_id, self._store.read(video_id))

    @torch.inference_mode()
    def predict_features(self, video_id: str, stored: VideoFeatures) -> Belief:
        """The same from features at hand."""
        inputs = resized_features(stored, self._stride_s, self._bins).to(device_of(self._detector))
        about = {
            "video_id": video_id,
            "duration_s": stored.decoded_s,
            "class_logits_RK": self._class_logits(stored),
        }
        return believed(self._detector, self._detector(inputs), about)


def believed(detector: nn.Module, output: Any, about: Mapping[str, Any]) -> Belief:
    """What a detector's output says about one video.

    Args:
        output: of a batch of one.
        about: the fields of a belief that are not the detector's.
    """
    if isinstance(output, BMNOutput):
        maps = probabilities(output)
        return RawPrediction(
            start_T=maps.start_BT[0].cpu().numpy(),
            end_T=maps.end_BT[0].cpu().numpy(),
            bm_map_MDT=maps.bm_map_BMDT[0].cpu().numpy(),
            **about,
        )
    if isinstance(detector, KTMGFN):
        (found,) = activation_segments(output, detector.config, MOST_SEGMENTS)
    else:
        assert isinstance(detector, S2DTAN)
        (found,) = candidate_segments(output, detector.layout, MOST_SEGMENTS)
    return FoundPrediction(
        segments_P2=found.segments_P2, scores_P=found.scores_P, class_scores_PK=found.class_scores_PK, **about
    )
