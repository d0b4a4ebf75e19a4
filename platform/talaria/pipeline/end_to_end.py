"""Detectors that learn from frames: frames are stored once, then such a detector is trained and predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from talaria.config.fingerprint import fingerprint, plain
from talaria.config.nodes import EndToEndNode
from talaria.features.frames import FramesPlan, store_frames
from talaria.features.requests import StageLimits
from talaria.log import BOARD
from talaria.pipeline.predictions import Predicted, offer, raw_meta, run_plans
from talaria.pipeline.session import Session
from talaria.pipeline.trainings import Training, run_trainings
from talaria.pipeline.videos import labelled_videos, with_features
from talaria.prediction.frame_members import FrameMemberPlan
from talaria.records import Dataset
from talaria.seeds import content_seed
from talaria.store.artifact import Artifact
from talaria.store.checkpoint import weights_digest
from talaria.store.ledger import Ledger
from talaria.tracking.mlflow_tracker import FOUND_SEGMENTS
from talaria.training.job import TrainJob, WindowSource


@dataclass(frozen=True)
class Frames:
    """The stored frames of all videos; several detectors may share them."""

    artifact: Artifact
    plan: FramesPlan

    @property
    def ledger(self) -> Ledger:
        """What became of each video."""
        return Ledger(self.artifact.folder)


def frames_plan(node: EndToEndNode, folder: Path, decode_limit_s: float) -> FramesPlan:
    """What a detector's streams need of each video."""
    return FramesPlan(str(folder), {name: node.clip_of(name) for name in node.model.streams}, decode_limit_s)


def frames_folder(session: Session, node: EndToEndNode) -> Path:
    """Where the frames of a detector lie; detectors with the same streams share them."""
    streams = {stream: node.clip_of(stream) for stream in node.model.streams}
    return session.folder / "frames" / fingerprint(streams)[:8]


def frames_missing(session: Session, dataset: Dataset, retry_failed: bool) -> dict[str, Frames]:
    """Stage `frames`: the frames that detectors learn from, by the detector's name."""
    data, found = session.config.data, dict[str, Frames]()
    for name, node in session.config.end_to_end.items():
        folder = frames_folder(session, node)
        plan = frames_plan(node, folder, data.decode_limit_s)
        artifact = session.artifact("frames", folder.name, "1", {"streams": plan.streams})
        frames = found[name] = Frames(artifact, plan)
        ids = {video.video_id for video in dataset.videos}
        if artifact.finished() and ids <= frames.ledger.rows.keys() and not retry_failed:
            session.skipped("frames", f"{name}: {len(frames.ledger.rows)} videos")
            continue
        with (
            session.stage("frames", f"{name}: {len(dataset.videos)} videos"),
            BOARD.step(f"frames {name}", len(dataset.videos)) as step,
        ):
            _ = session.capacity
            artifact.begin()
            ledger = frames.ledger
            step.advance(len(ledger.rows))
            limits = StageLimits(data.decode_limit_s, data.max_failed_frac, retry_failed)
            store_frames(frames.plan, dataset.videos, ledger, limits, lambda row: step.advance())
            artifact.commit(videos=len(ledger.rows), failed=len(ledger.failed()))
    return found


def train_end_to_end(
    session: Session, dataset: Dataset, frames: Mapping[str, Frames], backbones: Mapping[str, Path]
) -> dict[str, Training]:
    """Train every such detector that is not there yet; returns all by name."""
    trainings = {
        name: _training(session, dataset, name, node, frames[name], backbones)
        for name, node in session.config.end_to_end.items()
    }
    if trainings:
        run_trainings(session, "train", list(trainings.values()))
    return trainings


def predict_end_to_end(
    session: Session, dataset: Dataset, frames: Mapping[str, Frames], trainings: Mapping[str, Training]
) -> None:
    """Predict with every such detector whose predictions are not there yet, and offer them as members."""
    data = session.config.data
    subsets = (data.fit_subset, data.judge_subset)
    works = []
    for name, training in trainings.items():
        ids = with_features(dataset, subsets, frames[name].ledger)
        folder = training.artifact.folder
        digest = weights_digest(folder)
        meta = raw_meta(dataset, name, subsets, ids, f"found by {digest}")
        fields = {"detector": digest, "frames": frames[name].artifact.fingerprint, "meta": meta}
        artifact = session.artifact("predict", name, "1", fields)
        store = str(frames[name].artifact.folder)
        plan = FrameMemberPlan(meta, str(artifact.folder), str(folder), store, ids)
        works.append(Predicted(artifact, plan, training))
    if works:
        run_plans(session, "predict", works)
    for work in works:
        session.track_once(work.artifact, partial(offer, session, dataset, work, FOUND_SEGMENTS))


def _training(
    session: Session,
    dataset: Dataset,
    name: str,
    node: EndToEndNode,
    frames: Frames,
    backbones: Mapping[str, Path],
) -> Training:
    config, ledger = session.config, frames.ledger
    videos = labelled_videos(
        dataset.subset(config.data.train_subset), ledger, config.data.length_tolerance_frac
    )
    num_frames = tuple(ledger.rows[video.video_id].num_units for video in videos)
    folder = str(frames.artifact.folder)
    source = WindowSource(folder, videos, num_frames, dataset.classes, node.flip)
    seed = content_seed(config.run.seed, "train", name)
    starts = {stream: backbones[backbone] for stream, backbone in sorted(node.start_from.items())}
    fields = {
        "model": node.model,
        "optim": node.optim,
        "flip": node.flip,
        "frames": frames.artifact.fingerprint,
        "videos": fingerprint((videos, num_frames)),
        "classes": dataset.classes,
        "start_from": {stream: weights_digest(path) for stream, path in starts.items()},
        "seed": seed,
    }
    artifact = session.artifact("train", name, "1", fields)
    job = TrainJob(
        name=name,
        model=node.model,
        sizes={"num_classes": len(dataset.classes)},
        optim=node.optim,
        source=source,
        seed=seed,
        out=str(artifact.folder),
        card={"classes": dataset.classes, "streams": plain(frames.plan.streams)},
        start_streams={stream: str(path) for stream, path in starts.items()},
    )
    return Training(artifact, job, {"model": node.model, "optim": node.optim, "features": "frames"})
