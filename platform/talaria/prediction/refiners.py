"""A refiner on the features of one backbone: from a video's features and proposals to refined proposals.

Letters: P proposals, S stages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from talaria.prediction.inputs import whole_features
from talaria.prediction.models import ClassLogits, device_of, restored
from talaria.prediction.refined import RefinedPrediction
from talaria.prediction.stores import RawMeta, write_raw
from talaria.store.feature_store import FeatureStore, VideoFeatures
from talaria.store.proposal_store import ProposalStore, VideoProposals

Stages: TypeAlias = Literal["last", "all"]
"""Whose segments a refiner offers: the last stage's (2020 report), or those of all stages in their order."""


@dataclass(frozen=True)
class RefinerPlan:
    """What predicts with one refiner; all folders absolute.

    Attributes:
        meta: what is kept beside the predictions.
        out: folder of the artifact.
        classifier: folder of the video-level classifier, or None where clip scores classify the proposals.
        proposals: folder of a `ProposalStore`.
        video_ids: videos to predict, in a fixed order.
    """

    meta: RawMeta
    out: str
    refiner: str
    classifier: str | None
    features: str
    proposals: str
    stages: Stages
    video_ids: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The folder of shards."""
        return Path(self.out) / "raw"

    def load(self) -> Callable[[str], RefinedPrediction]:
        """The refiner's models and its proposals."""
        model = RefinerModel(
            features=Path(self.features),
            refiner=Path(self.refiner),
            classifier=Path(self.classifier) if self.classifier else None,
            stages=self.stages,
        )
        offered = ProposalStore(self.proposals)
        return lambda video_id: model.predict(offered.read(video_id))

    def write(self, path: Path, rows: list[RefinedPrediction]) -> None:
        """One shard of raw predictions."""
        write_raw(path, rows, self.meta)


class RefinerModel:
    """A refiner with the classifier of its features, ready to predict."""

    def __init__(self, *, features: Path, refiner: Path, classifier: Path | None, stages: Stages) -> None:
        """Load the models and check that they were trained on such features.

        Args:
            features: folder of the feature store.
            refiner: folder of the refiner.
            classifier: folder of the video-level classifier, if classes come from one.
            stages: whose segments are offered.

        Raises:
            DataError: a model was trained on other features; the fields that differ are named.
        """
        self._store = FeatureStore(features)
        self._stride_s = self._store.contract.stride_s
        self._refiner, card = restored(refiner, self._store)
        self._max_snippets = int(card["max_snippets"])
        self._class_logits = ClassLogits(self._store, classifier, None)
        self._stages = stages

    def predict(self, offered: VideoProposals) -> RefinedPrediction:
        """Where the proposals of one video of its feature store should lie."""
        return self.predict_features(offered, self._store.read(offered.video_id))

    @torch.inference_mode()
    def predict_features(self, offered: VideoProposals, stored: VideoFeatures) -> RefinedPrediction:
        """The same from features at hand."""
        features, scale = whole_features(stored, self._stride_s, self._max_snippets)
        logits_RK = self._class_logits(stored)
        return refined(self._refiner, features, scale, offered, stored.decoded_s, self._stages, logits_RK)


@torch.inference_mode()
def refined(
    refiner: nn.Module,
    features_1CT: Tensor,
    scale: float,
    offered: VideoProposals,
    duration_s: float,
    stages: Stages,
    class_logits_RK: NDArray[np.float32],
) -> RefinedPrediction:
    """What a refiner in evaluation mode makes of the proposals of one video.

    Args:
        features_1CT: at their own rate.
        scale: the video's length as a fraction of their span.
        class_logits_RK: kept as they are.
    """
    device = device_of(refiner)
    proposals_1P2 = torch.from_numpy(offered.segments_P2[None]).to(device) * scale
    valid_1P = torch.ones(proposals_1P2.shape[:2], dtype=torch.bool, device=device)
    if valid_1P.numel():
        found = refiner(features_1CT.to(device), None, proposals_1P2, valid_1P).stages
        chosen = found[-1:] if stages == "last" else found
        segments = [(stage.segments_BP2[0].float() / scale).clamp(0.0, 1.0) for stage in chosen]
        scores = [torch.sigmoid(stage.score_logits_BP[0].float()) for stage in chosen]
    else:
        segments, scores = [proposals_1P2[0]], [proposals_1P2.new_zeros(0)]
    return RefinedPrediction(
        video_id=offered.video_id,
        duration_s=duration_s,
        proposals_P2=np.tile(offered.segments_P2, (len(scores), 1)),
        proposal_scores_P=np.tile(offered.scores_P, len(scores)),
        segments_P2=torch.cat(segments).cpu().numpy(),
        scores_P=torch.cat(scores).cpu().numpy(),
        class_logits_RK=class_logits_RK,
    )
