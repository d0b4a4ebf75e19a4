"""Detectors and refiners of a finished run, loaded once: from features of a video to what each believes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talaria.config.schema import RunConfig
from talaria.ensemble.proposing import proposed
from talaria.errors import ConfigError
from talaria.pipeline.graph import (
    HeadNode,
    detector_heads,
    own_classifier,
    proposal_sources,
    refiner_heads,
)
from talaria.prediction.belief import Belief
from talaria.prediction.found import FoundPrediction
from talaria.prediction.frame_members import FrameModel
from talaria.prediction.members import MemberModel
from talaria.prediction.raw import RawPrediction
from talaria.prediction.refiners import RefinerModel
from talaria.store.feature_store import VideoFeatures
from talaria.store.frame_store import FrameStore


class RunModels:
    """The members of an ensemble, and the detectors whose proposals they refine."""

    def __init__(self, run_folder: Path, config: RunConfig, members: Sequence[str]) -> None:
        """Load everything.

        Args:
            run_folder: absolute `runs/<name>`.
            config: its recipe.
            members: names of detectors or of refiners in the order of the weights; another rounds otherwise.

        Raises:
            ConfigError: a member is not of this run.
            DataError: a model is missing or damaged.
        """
        self._config, self._folder = config, run_folder
        heads = {head.name: head for head in (*detector_heads(config), *refiner_heads(config))}
        foreign = sorted(set(members) - heads.keys() - config.end_to_end.keys())
        if foreign:
            raise ConfigError(
                f"{run_folder}: its ensemble has members of other runs: {', '.join(foreign)}; run "
                "jobs/ensemble.py with members of this run alone"
            )
        chosen = [heads[name] for name in members if name in heads]
        self._members, self._heads = tuple(members), chosen
        self._whole = {
            name: FrameModel(run_folder / "train" / name) for name in members if name in config.end_to_end
        }
        self._refiners = {h.name: self._refiner(h) for h in chosen if h.node_name in config.refiners}
        sets = {config.refiners[h.node_name].proposals for h in chosen if h.name in self._refiners}
        self._sources = {name: proposal_sources(config, name) for name in sorted(sets)}
        sources = [head for listed in self._sources.values() for head in listed]
        detectors = {head.name: head for head in (*chosen, *sources) if head.name not in self._refiners}
        self._detectors = {name: self._detector(head) for name, head in detectors.items()}
        self.backbones = {head.backbone for head in (*chosen, *sources)}
        """Names of the backbones whose features `beliefs` asks for."""

    @property
    def from_frames(self) -> tuple[str, ...]:
        """Names of the members that start from frames."""
        return tuple(self._whole)

    def beliefs(
        self, video_id: str, features: Mapping[str, VideoFeatures], frames: Mapping[str, FrameStore]
    ) -> list[Belief]:
        """What each member believes about one video, in their order; rounded as on disk.

        Args:
            features: by name of backbone.
            frames: of this video, for each member that starts from frames.
        """
        found: dict[str, Belief] = {
            head.name: _as_stored(
                self._detectors[head.name].predict_features(video_id, features[head.backbone])
            )
            for head in (*self._heads, *(head for listed in self._sources.values() for head in listed))
            if head.name in self._detectors
        }
        offered = {
            name: proposed([found[head.name] for head in listed], self._config.proposals[name].suppression)
            for name, listed in self._sources.items()
        }
        for head in self._heads:
            if head.name in self._refiners:
                proposals = offered[self._config.refiners[head.node_name].proposals]
                found[head.name] = self._refiners[head.name].predict_features(
                    proposals, features[head.backbone]
                )
        for name, model in self._whole.items():
            found[name] = _as_stored(model.predict(video_id, frames[name]))
        return [found[name] for name in self._members]

    def _detector(self, head: HeadNode) -> MemberModel:
        return MemberModel(
            features=self._folder / "features" / head.backbone,
            detector=self._folder / "train" / head.name,
            classifier=self._classifier(head.backbone),
        )

    def _refiner(self, head: HeadNode) -> RefinerModel:
        return RefinerModel(
            features=self._folder / "features" / head.backbone,
            refiner=self._folder / "train" / head.name,
            classifier=self._classifier(head.backbone),
            stages=self._config.refiners[head.node_name].stages,
        )

    def _classifier(self, backbone: str) -> Path | None:
        head = own_classifier(self._config, backbone)
        return self._folder / "train" / head.name if head else None


def _as_stored(belief: Belief) -> Belief:
    """The same, rounded as a shard of raw predictions keeps it."""
    if isinstance(belief, RawPrediction):
        return dataclasses.replace(belief, bm_map_MDT=_halved(belief.bm_map_MDT))
    assert isinstance(belief, FoundPrediction)
    return dataclasses.replace(belief, class_scores_PK=_halved(belief.class_scores_PK))


def _halved(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values.astype(np.float16).astype(np.float32)
