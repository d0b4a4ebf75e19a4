"""Labelled clips for fine-tuning, cut on Ray Data: each training video is decoded once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talaria.cluster.data import ray_data
from talaria.config.specs import ClipSpec
from talaria.data.decoding_messages import DecodedSummary
from talaria.data.flow import clip_frames, flow_method
from talaria.errors import DataError
from talaria.features.requests import (
    OnVideo,
    StageLimits,
    done_row,
    failed_row,
    length_note,
    rows_of,
    unfinished,
)
from talaria.features.sampling import cut_clips, draw_clips
from talaria.records import Annotation, Video
from talaria.seeds import content_seed
from talaria.store.files import written_aside
from talaria.store.ledger import Ledger, LedgerRow


@dataclass(frozen=True)
class ClipPlan:
    """What every worker that cuts clips needs to know; `folder` is absolute."""

    folder: str
    spec: ClipSpec
    classes: tuple[str, ...]
    clips_per_segment: int
    background_clips: int
    seed: int
    decode_limit_s: float
    length_tolerance_frac: float


def make_clips(
    plan: ClipPlan, videos: Sequence[Video], ledger: Ledger, limits: StageLimits, on_video: OnVideo
) -> None:
    """Cut the clips of every training video that has no ledger row yet.

    Raises:
        StageError: too many videos failed, or all of them.
        ConfigError: clips of flow are asked for, and what computes them is not installed.
    """
    todo = {video.video_id: video for video in unfinished(videos, ledger, limits.retry_failed)}
    if todo:
        if plan.spec.flow is not None:
            flow_method(plan.spec.flow)  # told here, not by every video
        for answer in rows_of(_cut_all(plan, list(todo.values()))):
            row = _ledger_row(todo[str(answer["video_id"])], ledger, answer, plan.length_tolerance_frac)
            ledger.add(row)
            on_video(row)
    ledger.close(limits.max_failed_frac, "clips")


def made_clips(plan: ClipPlan, ledger: Ledger) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Files of all videos that are done, by video id, and the labels of the clips in each."""
    names = sorted(row.video_id for row in ledger.rows.values() if row.status == "done" and row.num_units)
    files = tuple(str(clips_path(plan, name)) for name in names)
    return files, tuple(tuple(json.loads(Path(file).with_suffix(".json").read_text())) for file in files)


def clips_path(plan: ClipPlan, video_id: str) -> Path:
    """The clips (n, L, H, W, channels) of one video; their labels lie beside them as JSON."""
    return Path(plan.folder) / "clips" / f"{video_id}.npy"


def cut_video(batch: Mapping[str, NDArray[Any]], plan: ClipPlan) -> dict[str, NDArray[Any]]:
    """A Ray Data map over one video: decode it, leave its clips on disk, say what came of it."""
    video_id = str(batch["video_id"][0])
    notes = tuple(Annotation(*note) for note in json.loads(str(batch["annotations"][0])))
    seed = content_seed(plan.seed, "clips", video_id)
    wanted = draw_clips(
        notes,
        float(batch["duration_s"][0]),
        plan.classes,
        plan.spec,
        plan.clips_per_segment,
        plan.background_clips,
        seed,
    )
    summary = DecodedSummary()
    try:
        stream = clip_frames(
            str(batch["path"][0]), plan.spec, time_limit_s=plan.decode_limit_s, summary=summary
        )
        clips, _ = cut_clips(stream, wanted, plan.spec)
    except DataError as failure:
        return _answer(video_id, 0, 0.0, str(failure), "")
    target = clips_path(plan, video_id)
    with written_aside(target.with_suffix(".json")) as aside:
        aside.write_text(json.dumps([clip.label for clip in wanted]))
    with written_aside(target) as aside, aside.open("wb") as file:
        np.save(file, clips)
    return _answer(video_id, len(clips), summary.duration_s, "", summary.error or "")


def _answer(
    video_id: str, num_clips: int, decoded_s: float, error: str, oddity: str
) -> dict[str, NDArray[Any]]:
    return {
        "video_id": np.array([video_id]),
        "num_clips": np.array([num_clips]),
        "decoded_s": np.array([decoded_s]),
        "error": np.array([error]),
        "oddity": np.array([oddity]),
    }


def _cut_all(plan: ClipPlan, todo: Sequence[Video]) -> Any:
    rows = [
        {
            "video_id": video.video_id,
            "path": video.path,
            "duration_s": video.duration_s if video.duration_s is not None else _last_end_s(video),
            "annotations": json.dumps([(a.start_s, a.end_s, a.label) for a in video.annotations]),
        }
        for video in todo
    ]
    dataset = (
        ray_data()
        .from_items(rows, override_num_blocks=len(rows))
        .map_batches(cut_video, fn_kwargs={"plan": plan}, batch_size=1, num_cpus=1)
    )
    return dataset.iter_batches(batch_size=None, batch_format="numpy")


def _ledger_row(video: Video, ledger: Ledger, answer: Mapping[str, Any], tolerance_frac: float) -> LedgerRow:
    decoded_s = float(answer["decoded_s"])
    if answer["error"]:
        return failed_row(video, ledger, "decode", str(answer["error"]), decoded_s or None)
    note = "; ".join(part for part in (str(answer["oddity"]), length_note(video, decoded_s)) if part)
    row = done_row(video, ledger, decoded_s, int(answer["num_clips"]), note)
    if row.length_differs(tolerance_frac):
        reason = f"{length_note(video, decoded_s)}: left out of training (data.length_tolerance_frac)"
        return failed_row(video, ledger, "length", reason, decoded_s)
    return row


def _last_end_s(video: Video) -> float:
    return max((note.end_s for note in video.annotations), default=0.0)
