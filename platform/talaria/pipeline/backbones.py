"""Stages before the features are there: clips, fine-tuning, extraction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from talaria.config.fingerprint import fingerprint, plain
from talaria.config.nodes import BackboneNode, FinetuneSection
from talaria.data.timebase import clip_start_idx
from talaria.features.clips import ClipPlan, made_clips, make_clips
from talaria.features.extraction import extract
from talaria.features.requests import Extracted, ExtractionPlan, StageLimits
from talaria.features.verification import common_device
from talaria.log import BOARD, LOGGER, duration_text
from talaria.pipeline.graph import clip_group, feature_backbones
from talaria.pipeline.session import Session
from talaria.pipeline.trainings import Training, run_trainings
from talaria.pipeline.weights import ORIGIN, model_sizes, origin
from talaria.records import Dataset, Video
from talaria.seeds import content_seed
from talaria.store.artifact import Artifact
from talaria.store.checkpoint import read_card, weights_digest
from talaria.store.feature_store import FeatureContract, FeatureStore
from talaria.store.ledger import Ledger, LedgerRow
from talaria.training.job import ClipSource, TrainJob
from talaria_models.registry import ModelConfig, build

_LAYER = "global average of the last stage"
_RESIZE = "whole frame, aspect not kept"


@dataclass(frozen=True)
class ClipSet:
    """The clips that one or more backbones are fine-tuned on, cut from some videos."""

    artifact: Artifact
    plan: ClipPlan
    videos: tuple[Video, ...]


def clip_sets(session: Session, dataset: Dataset) -> dict[str, ClipSet]:
    """For each backbone that is fine-tuned its clips; backbones with the same clip settings share them."""
    return {
        name: _clip_set(session, dataset, node, node.finetune)
        for name, node in session.config.backbones.items()
        if node.finetune is not None
    }


def cut_missing_clips(session: Session, dataset: Dataset, retry_failed: bool = False) -> dict[str, ClipSet]:
    """Stage `clips`: cut what is not there yet."""
    sets = clip_sets(session, dataset)
    missing = {str(s.artifact.folder): s for s in sets.values() if retry_failed or not s.artifact.finished()}
    if sets and not missing:
        session.skipped("clips", f"{len(sets)} backbones")
    for clips in missing.values():
        videos = clips.videos
        with (
            session.stage("clips", f"{len(videos)} training videos"),
            BOARD.step("clips", len(videos)) as step,
        ):
            _ = session.capacity
            clips.artifact.begin()
            ledger = Ledger(clips.artifact.folder)
            step.advance(len(ledger.rows))
            make_clips(clips.plan, videos, ledger, _limits(session, retry_failed), lambda row: step.advance())
            clips.artifact.commit(videos=len(ledger.rows), failed=len(ledger.failed()))
    return sets


def finetune_missing(session: Session, sets: dict[str, ClipSet], weights: dict[str, Path]) -> dict[str, Path]:
    """Stage `finetune`: from the `weights` that backbones start with to the folder of those they end with."""
    folders: dict[str, Path] = {}
    trainings: list[Training] = []
    for name, node in session.config.backbones.items():
        if node.finetune is None:
            folders[name] = weights[name]
            continue
        training = _finetuning(session, name, node, node.finetune, sets[name], weights.get(name))
        folders[name] = training.artifact.folder
        trainings.append(training)
    run_trainings(session, "finetune", trainings)
    return folders


def extract_missing(
    session: Session, dataset: Dataset, models: dict[str, Path], retry_failed: bool = False
) -> dict[str, FeatureStore]:
    """Stage `features`: dense features of every video by every backbone whose features are used."""
    stores: dict[str, FeatureStore] = {}
    for name in feature_backbones(session.config):
        node = session.config.backbones[name]
        contract = make_contract(node, models[name], dataset)
        fields = {"contract": contract, "chunk_clips": node.chunk_clips}
        artifact = session.artifact("features", name, "2", fields)
        stores[name] = FeatureStore(artifact.folder)
        ledger = Ledger(artifact.folder)
        ids = {video.video_id for video in dataset.videos}
        if artifact.finished() and ids <= ledger.rows.keys() and not retry_failed:
            session.skipped("features", f"{name}: {len(ledger.rows)} videos")
            continue
        detail = f"{name}: {len(dataset.videos)} videos"
        with session.stage("features", detail), BOARD.step(f"features {name}", len(dataset.videos)) as step:
            device = common_device(session.capacity)
            if artifact.finished() and artifact.record()["info"].get("device") != device:
                device = None  # some videos were computed elsewhere
            artifact.begin()
            stores[name].write_contract(contract)
            plan = ExtractionPlan(
                str(artifact.folder),
                str(models[name]),
                node.clip,
                node.chunk_clips,
                node.feature_dtype,
                session.config.data.decode_limit_s,
            )
            ledger = Ledger(artifact.folder)
            step.advance(len(ledger.rows))

            spent_s = {"decode_cpu_s": 0.0, "forward_cpu_s": 0.0}

            def on_video(
                row: LedgerRow, found: Extracted, step: Any = step, spent_s: dict[str, float] = spent_s
            ) -> None:
                spent_s["decode_cpu_s"] += found.decode_cpu_s
                spent_s["forward_cpu_s"] += found.forward_cpu_s
                step.advance(note=row.video_id)

            limits = _limits(session, retry_failed)
            extract(
                plan, dataset.videos, ledger, limits, session.config.resources, session.capacity, on_video
            )
            artifact.commit(videos=len(ledger.rows), failed=len(ledger.failed()), device=device, **spent_s)
            LOGGER.info(
                "  %s: the processor decoded for %s and computed for %s",
                name,
                *map(duration_text, spent_s.values()),
            )
    return stores


def make_contract(node: BackboneNode, model: Path, dataset: Dataset) -> FeatureContract:
    """What features of this backbone are, before any is computed."""
    saved = read_card(model)
    return FeatureContract(
        backbone=plain(saved.config),
        weights=weights_digest(model),
        fps=node.clip.fps,
        num_frames=node.clip.num_frames,
        stride_frames=node.clip.stride_frames,
        height=node.clip.height,
        width=node.clip.width,
        first_frame_idx=clip_start_idx(0, node.clip),
        resize=_RESIZE,
        dtype=node.feature_dtype,
        layer=_LAYER,
        feature_dim=int(saved.card["feature_dim"]),
        classes=tuple(saved.card["classes"]),
        published=saved.card[ORIGIN]["sha256"] if ORIGIN in saved.card else None,
        flow=plain(node.clip.flow),
    )


def _clip_set(session: Session, dataset: Dataset, node: BackboneNode, finetune: FinetuneSection) -> ClipSet:
    data = session.config.data
    videos = tuple(dataset.subset(finetune.subset or data.train_subset))
    seed = content_seed(session.config.run.seed, "clips")
    clip = node.finetune_clip
    fields = {
        "clip": clip,
        "clips_per_segment": finetune.clips_per_segment,
        "background_clips_per_video": finetune.background_clips_per_video,
        "length_tolerance_frac": data.length_tolerance_frac,
        "classes": dataset.classes,
        "videos": fingerprint([(v.video_id, v.duration_s, v.annotations) for v in videos]),
        "seed": seed,
    }
    key = fingerprint(clip_group(node))[:8]
    artifact = session.artifact("clips", key, "1", fields)
    plan = ClipPlan(
        folder=str(artifact.folder),
        spec=clip,
        classes=dataset.classes,
        clips_per_segment=finetune.clips_per_segment,
        background_clips=finetune.background_clips_per_video,
        seed=seed,
        decode_limit_s=data.decode_limit_s,
        length_tolerance_frac=data.length_tolerance_frac,
    )
    return ClipSet(artifact, plan, videos)


def _finetuning(
    session: Session,
    name: str,
    node: BackboneNode,
    finetune: FinetuneSection,
    clips: ClipSet,
    start_from: Path | None,
) -> Training:
    seed = content_seed(session.config.run.seed, "finetune", name)
    fields: dict[str, Any] = {
        "clips": clips.artifact.fingerprint,
        "model": node.model,
        "finetune": finetune.model_dump(exclude={"height", "width"}),  # the clips' fingerprint has them
        "seed": seed,
        "start_from": weights_digest(start_from) if start_from else None,
    }
    ledger = Ledger(clips.artifact.folder)
    if missing := [row.video_id for row in ledger.failed()]:
        fields["failed_videos"] = missing  # a video that is mended later would have been learned from
    artifact = session.artifact("finetune", name, "1", fields)
    clip = node.finetune_clip
    sizes = model_sizes(clip, len(clips.plan.classes) + 1)
    files, labels = made_clips(clips.plan, ledger)
    job = TrainJob(
        name=name,
        model=node.model,
        sizes=sizes,
        optim=finetune.optim,
        source=ClipSource(files, labels, clip, finetune.flip, finetune.jitter),
        seed=seed,
        out=str(artifact.folder),
        card={
            "classes": clips.plan.classes,
            "feature_dim": feature_dim(node.model, sizes),
            "clip": plain(clip),
            **origin(start_from),
        },
        label_smoothing=finetune.label_smoothing,
        bnm_weight=finetune.bnm_weight,
        start_from=str(start_from) if start_from else None,
    )
    return Training(artifact, job, {"model": node.model, "finetune": finetune, "clip": clip})


def feature_dim(config: ModelConfig, sizes: dict[str, int]) -> int:
    """Channels of a backbone's features, without giving its weights memory."""
    with torch.device("meta"):
        return int(build(config, **sizes).feature_dim)  # type: ignore[arg-type]


def _limits(session: Session, retry_failed: bool) -> StageLimits:
    data = session.config.data
    return StageLimits(data.decode_limit_s, data.max_failed_frac, retry_failed)
