"""The ensemble of classifiers of a finished run, loaded once: from features of a video to class logits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from talaria.config.schema import RunConfig
from talaria.ensemble.classifiers import fused_logits
from talaria.errors import ConfigError
from talaria.evaluation.arrays import FloatArray
from talaria.pipeline.graph import HeadNode, classifier_heads, clip_classifiers
from talaria.prediction.classifying import VideoClassifierModel
from talaria.store.feature_store import VideoFeatures


class RunClassifiers:
    """Classifiers that have a weight, and these weights."""

    def __init__(
        self, run_folder: Path, config: RunConfig, weights: Mapping[str, float], num_classes: int
    ) -> None:
        """Load everything.

        Args:
            run_folder: absolute `runs/<name>`.
            config: its recipe.
            weights: by name of classifier, in the order in which they were learned; another rounds otherwise.
            num_classes: of the run.

        Raises:
            ConfigError: a classifier is not of this recipe.
            DataError: a model is missing or damaged.
        """
        trained = {head.name: head for head in classifier_heads(config)}
        clips = {head.name: head for head in clip_classifiers(config)}
        unknown = sorted(set(weights) - trained.keys() - clips.keys())
        if unknown:
            raise ConfigError(
                f"{run_folder}: its recipe lacks the classifiers {', '.join(unknown)} of its summary; run "
                "jobs/full_pipeline.py again"
            )
        self._weights = tuple(weights.values())
        self._heads: list[HeadNode] = [{**clips, **trained}[name] for name in weights]
        self._models = [
            VideoClassifierModel(
                run_folder / "features" / head.backbone,
                run_folder / "train" / head.name if head.name in trained else None,
                num_classes,
            )
            for head in self._heads
        ]
        self.backbones = {head.backbone for head in self._heads}
        """Names of the backbones whose features `logits` asks for."""

    def logits(self, features: Mapping[str, VideoFeatures]) -> FloatArray:
        """(1, K) fused logits of one video.

        Args:
            features: by name of backbone.
        """
        each = [
            model.logits(features[head.backbone])
            for head, model in zip(self._heads, self._models, strict=True)
        ]
        return fused_logits(np.array(each, np.float64)[:, None], self._weights)
