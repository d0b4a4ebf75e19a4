"""What is searched: from drawn values to a training, its judge on held-out videos and its cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from talaria.config.nodes import ClassifierNode, DetectorNode, RefinerNode
from talaria.config.postprocess import PostprocessConfig
from talaria.config.search import SearchSection
from talaria.config.space import TargetNode, node_values, with_postprocess, with_values
from talaria.data.timebase import full_features
from talaria.errors import StageError
from talaria.evaluation.arrays import GroundTruth
from talaria.prediction.judge import Judge, judged_classifier, judged_detector, judged_refiner
from talaria.search.cost import gflop
from talaria.seeds import content_seed
from talaria.store.feature_store import FeatureStore
from talaria.store.proposal_store import ProposalStore
from talaria.training.job import LabelledVideo, RefinerSource, SnippetSource, TrainJob


@dataclass(frozen=True)
class SearchPlan:
    """Everything a trial needs besides its own values.

    Attributes:
        node: the target, whose settings are searched.
        postprocess: the recipe's, by which proposals are scored.
        source: features of all training videos, with their proposals for a refiner.
        sizes: what the data decides about the network.
        folder: absolute folder of the search, on storage that all nodes see.
        cpus: CPUs of one worker; `gpus` likewise.
    """

    section: SearchSection
    node: TargetNode
    postprocess: PostprocessConfig
    source: SnippetSource | RefinerSource
    sizes: dict[str, int]
    folder: str
    seed: int
    cpus: float
    gpus: float

    def job(self, values: Mapping[str, Any], folder: Path) -> TrainJob:
        """The training of a trial, on the videos that are not held out; metrics go to `folder`.

        Raises:
            ConfigError: a combination of values that the settings refuse.
        """
        node = self._node(values)
        learn, _ = split_videos(self.source.videos, self.section.holdout_frac)
        return TrainJob(
            name=folder.name,
            model=node.model,
            sizes=self.sizes,
            optim=node.optim.model_copy(update={"epochs": self.section.epochs}),
            source=replace(_source_of(self.source, node), videos=learn),
            seed=self.seed,
            out=str(folder),
            card={},
        )

    def judge(self, values: Mapping[str, Any]) -> Judge:
        """What scores the trial's network on the held-out videos.

        Raises:
            StageError: none of them has an annotation.
        """
        node, store = self._node(values), FeatureStore(Path(self.source.folder))
        settings = with_postprocess(self.postprocess, values)
        _, held = split_videos(self.source.videos, self.section.holdout_frac)
        if not any(video.annotations for video in held):
            raise StageError(
                f"search: none of {len(held)} held-out training videos has an annotation; raise "
                "search.holdout_frac"
            )
        if isinstance(node, DetectorNode):
            return judged_detector(store, class_agnostic(held), node.model.num_snippets, settings)
        if isinstance(node, RefinerNode):
            assert isinstance(self.source, RefinerSource)
            offered = ProposalStore(self.source.proposals)
            truth = class_agnostic(held)
            return judged_refiner(store, offered, truth, node.max_snippets, node.stages, settings)
        return judged_classifier(store, class_labels(held, self.source.classes), node.num_bins)

    def gflop(self, values: Mapping[str, Any]) -> float:
        """GFLOP of the first training video's forward pass."""
        node = self._node(values)
        if isinstance(node, DetectorNode):
            return gflop(node.model, self.sizes, node.model.num_snippets, None)
        if isinstance(node, ClassifierNode):
            return gflop(node.model, self.sizes, node.num_bins, None)
        assert isinstance(self.source, RefinerSource)
        store, video_id = FeatureStore(Path(self.source.folder)), self.source.videos[0].video_id
        stored, stride_s = store.read(video_id), store.contract.stride_s
        features_TC, _ = full_features(stored.features_TC, stored.decoded_s, stride_s, node.max_snippets)
        offered = ProposalStore(self.source.proposals).read(video_id)
        return gflop(node.model, self.sizes, len(features_TC), len(offered.scores_P))

    def _node(self, values: Mapping[str, Any]) -> TargetNode:
        return with_values(self.node, node_values(self.section, values))


def split_videos(
    videos: tuple[LabelledVideo, ...], holdout_frac: float
) -> tuple[tuple[LabelledVideo, ...], ...]:
    """Training videos and held-out ones, chosen by their ids alone; both have at least one.

    Raises:
        StageError: fewer than two videos.
    """
    if len(videos) < 2:
        raise StageError(f"search: {len(videos)} training videos; expected at least 2 to hold one out")
    order = sorted(videos, key=lambda video: content_seed("holdout", video.video_id))
    count = min(max(1, round(holdout_frac * len(order))), len(order) - 1)
    held = {video.video_id for video in order[:count]}
    return (
        tuple(video for video in videos if video.video_id not in held),
        tuple(video for video in videos if video.video_id in held),
    )


def class_agnostic(videos: tuple[LabelledVideo, ...]) -> GroundTruth:
    """The truth of some videos with one label for everything: what proposals are judged by."""
    notes = [(index, note) for index, video in enumerate(videos) for note in video.annotations]
    return GroundTruth(
        tuple(video.video_id for video in videos),
        ("action",),
        np.array([index for index, _ in notes], np.int64),
        np.zeros(len(notes), np.int64),
        np.array([note.start_s for _, note in notes], np.float64),
        np.array([note.end_s for _, note in notes], np.float64),
    )


def class_labels(videos: tuple[LabelledVideo, ...], classes: tuple[str, ...]) -> dict[str, frozenset[int]]:
    """Class indices of the videos that have any: what a classifier is judged by."""
    return {
        video.video_id: frozenset(classes.index(note.label) for note in video.annotations)
        for video in videos
        if video.annotations
    }


def _source_of(source: SnippetSource | RefinerSource, node: TargetNode) -> SnippetSource | RefinerSource:
    """The source as a node of these settings reads it."""
    if isinstance(source, RefinerSource):
        assert isinstance(node, RefinerNode)
        return replace(source, num_proposals=node.training_proposals, max_snippets=node.max_snippets)
    assert not isinstance(node, RefinerNode)
    num_bins = node.model.num_snippets if isinstance(node, DetectorNode) else node.num_bins
    return replace(source, num_bins=num_bins)
