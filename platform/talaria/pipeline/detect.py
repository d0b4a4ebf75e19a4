"""One video through a finished run: decode, features, members, fusion, post-processing; no Ray needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from talaria.config.loading import load_resolved
from talaria.config.postprocess import PostprocessConfig
from talaria.config.schema import BackboneNode, RunConfig
from talaria.data.decoding import DecodedSummary, decode_frames
from talaria.ensemble.fusion import fuse
from talaria.errors import ConfigError
from talaria.features.chunks import frame_chunks
from talaria.features.extraction import ExtractionPlan, Forward
from talaria.pipeline.graph import classifier_heads, detector_heads
from talaria.pipeline.summary import SUMMARY
from talaria.prediction.postprocess import as_results, postprocess
from talaria.prediction.predict import MemberModel
from talaria.prediction.raw import RawPrediction
from talaria.records import Detection
from talaria.store.feature_store import VideoFeatures
from talaria.store.files import read_json


class RunDetector:
    """The backbones, members, weights and post-processing of a finished run, ready for any video."""

    def __init__(self, run_folder: Path) -> None:
        """Load everything once.

        Raises:
            ConfigError: the folder holds no finished ensemble.
        """
        self._folder = run_folder
        summary = run_folder / SUMMARY
        if not summary.is_file():
            raise ConfigError(f"{run_folder}: holds no finished run; run jobs/full_pipeline.py to its end first")
        learned: dict[str, Any] = read_json(summary)
        self._config = load_resolved(run_folder / "recipe.json")
        self._settings = PostprocessConfig(**learned["postprocess"])
        self._classes: list[str] = learned["classes"]
        self._weights: dict[str, float] = {name: w for name, w in learned["weights"].items() if w > 0}
        self._heads = [head for head in detector_heads(self._config) if head.name in self._weights]
        if len(self._heads) != len(self._weights):
            names = ", ".join(sorted(self._weights.keys() - {head.name for head in self._heads}))
            raise ConfigError(f"{run_folder}: the ensemble has members of other runs: {names}")

    def detect(self, video: Path) -> list[Detection]:
        """The detections of one video, best first.

        Raises:
            DataError: the file cannot be decoded.
        """
        needed = sorted({head.backbone for head in self._heads})
        features = {name: self._features(video, name, self._config.backbones[name]) for name in needed}
        raw = [self._predict(video.stem, head.name, head.backbone, features[head.backbone]) for head in self._heads]
        fused = fuse(raw, [self._weights[head.name] for head in self._heads])
        detections = postprocess([fused], self._settings, self._classes)
        return as_results(detections, [video.stem], self._classes)[video.stem]

    def _features(self, video: Path, name: str, node: BackboneNode) -> VideoFeatures:
        model = model_folder(self._folder, self._config, name)
        limit_s = self._config.data.decode_limit_s
        plan = ExtractionPlan("", str(model), node.clip, node.chunk_clips, node.feature_dtype, limit_s)
        forward, summary = Forward(plan), DecodedSummary()
        stream = decode_frames(video, node.clip, time_limit_s=limit_s, summary=summary)
        parts = [
            tuple(array[: chunk.num_valid] for array in forward.compute(chunk.frames))
            for chunk in frame_chunks(stream, node.clip, node.chunk_clips)
        ]
        features, logits = (np.concatenate(arrays).astype(np.float32) for arrays in zip(*parts, strict=True))
        return VideoFeatures(features, logits, summary.duration_s)

    def _predict(self, video_id: str, member: str, backbone: str, features: VideoFeatures) -> RawPrediction:
        classifiers = {head.backbone: head.name for head in classifier_heads(self._config)}
        trained = self._folder / "train"
        classifier = trained / classifiers[backbone] if backbone in classifiers else None
        model = MemberModel(
            features=self._folder / "features" / backbone, detector=trained / member, classifier=classifier
        )
        return model.predict_features(video_id, features)


def model_folder(run_folder: Path, config: RunConfig, backbone: str) -> Path:
    """Where the weights of a backbone of a run lie."""
    node = config.backbones[backbone]
    if node.finetune is None:
        return Path(str(node.checkpoint)).expanduser().resolve()
    return run_folder / "finetune" / backbone
