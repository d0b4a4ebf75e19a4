"""What a person wants to know of a member before picking it: cost, how good its proposals are, how they look.

Everything is worked out on videos of the fit subset; those that an ensemble is judged on stay unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from talaria.config.postprocess import PostprocessConfig
from talaria.evaluation.arrays import Detections, FloatArray, GroundTruth
from talaria.evaluation.proposals import average_recall
from talaria.pipeline.trainings import Training
from talaria.prediction.belief import Belief
from talaria.prediction.postprocess import postprocess
from talaria.prediction.raw import RawPrediction
from talaria.prediction.refined import RefinedPrediction
from talaria.prediction.stores import RawStore
from talaria.records import Dataset, Video
from talaria.report.member_picture import PicturedVideo, draw_member
from talaria.search.cost import gflop
from talaria.seeds import content_seed
from talaria.store.feature_store import FeatureStore
from talaria.training.job import RefinerSource, SnippetSource, WeakSource
from talaria_models.registry import build

_MOST_VIDEOS = 100
"""Videos behind the measures: the same ones for every member, a second's work."""
_PICTURED = 4
_CLASSES = 1
"""Of every video its surest class, so that each segment is in the list once."""


def cost_metrics(training: Training, beliefs: Sequence[Belief]) -> dict[str, float]:
    """Parameters, seconds of training, and GFLOP of the model on the features of the first of some videos."""
    job = training.job
    with torch.device("meta"):
        parameters = sum(weight.numel() for weight in build(job.model, **job.sizes).parameters())
    seconds = training.artifact.record()["seconds"]
    known = {"parameters": float(parameters), "training_s": float(seconds)}
    if isinstance(job.source, SnippetSource | WeakSource):
        return {**known, "gflop": gflop(job.model, job.sizes, job.source.num_bins, None)}
    if isinstance(job.source, RefinerSource) and beliefs:
        stored = FeatureStore(Path(job.source.folder)).read(beliefs[0].video_id)
        snippets = min(len(stored.features_TC), job.source.max_snippets)
        return {**known, "gflop": gflop(job.model, job.sizes, snippets, _num_proposals(beliefs[0]))}
    return known


def proposal_metrics(
    beliefs: Sequence[Belief], videos: Sequence[Video], classes: Sequence[str], config: PostprocessConfig
) -> dict[str, float]:
    """AUC in percent, AR@100 in [0, 1] and the number of videos that they were measured on."""
    truth = GroundTruth.of_videos(videos, classes)
    if not len(truth.start_s):
        return {}
    found = postprocess(beliefs, replace(config, classes_per_video=_CLASSES), classes)
    number = {video.video_id: index for index, video in enumerate(videos)}
    place_V = np.array([number[one.video_id] for one in beliefs], np.int64)
    result = average_recall(truth, replace(found, video_idx=place_V[found.video_idx]))
    return {"fit_auc": result.auc, "fit_ar_100": result.at(100), "fit_videos": float(len(videos))}


def draw_beliefs(
    title: str,
    beliefs: Sequence[Belief],
    videos: Sequence[Video],
    classes: Sequence[str],
    config: PostprocessConfig,
    path: Path,
) -> bool:
    """Draw some videos with annotated segments; returns whether there were any."""
    annotated = {video.video_id: video for video in videos if video.annotations}
    shown = [one for one in beliefs if one.video_id in annotated][:_PICTURED]
    if not shown:
        return False
    found = postprocess(shown, replace(config, classes_per_video=_CLASSES), classes)
    pictured = [_pictured(one, annotated[one.video_id], found, index) for index, one in enumerate(shown)]
    draw_member(title, pictured, path)
    return True


def sampled_beliefs(store: RawStore, dataset: Dataset, subset: str) -> tuple[list[Belief], list[Video]]:
    """Some videos of a subset, picked by their names alone, and what a member believes about each."""
    known = set(store.video_ids)
    videos = [video for video in dataset.subset(subset) if video.video_id in known]
    picked = sorted(videos, key=lambda video: content_seed(0, "member facts", video.video_id))[:_MOST_VIDEOS]
    return [store.read(video.video_id) for video in picked], picked


def _pictured(one: Belief, video: Video, found: Detections, index: int) -> PicturedVideo:
    mine = np.flatnonzero(found.video_idx == index)
    order = mine[np.argsort(-found.score[mine], kind="stable")]
    truths = [(note.start_s, note.end_s) for note in video.annotations]
    found_s = np.stack([found.start_s[order], found.end_s[order]], axis=1)
    return PicturedVideo(
        video_id=one.video_id,
        duration_s=one.duration_s,
        truths_s=np.array(truths, np.float64).reshape(-1, 2),
        found_s=found_s,
        found_scores=found.score[order],
        offered_s=_offered(one, found_s),
        curves=_curves(one),
    )


def _curves(one: Belief) -> dict[str, FloatArray]:
    if not isinstance(one, RawPrediction):
        return {}
    return {"startness": one.start_T.astype(np.float64), "endness": one.end_T.astype(np.float64)}


def _offered(one: Belief, found_s: FloatArray) -> FloatArray:
    """(P, 2) seconds: the proposal that each found segment of a refiner came from."""
    if not isinstance(one, RefinedPrediction):
        return np.zeros((0, 2))
    refined_s = one.segments_P2.astype(np.float64) * one.duration_s
    nearest = [int(np.abs(refined_s - segment_s).sum(axis=1).argmin()) for segment_s in found_s]
    return one.proposals_P2.astype(np.float64)[nearest] * one.duration_s


def _num_proposals(one: Belief) -> int:
    """How many segments a refiner was given for a video."""
    return len(np.unique(one.proposals_P2, axis=0)) if isinstance(one, RefinedPrediction) else 0
