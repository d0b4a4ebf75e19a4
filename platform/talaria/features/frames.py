"""Whole videos as small frames on disk, for detectors that learn from frames: each video is decoded once.

Letters: F frames, H, W pixels; the last axis are colours, or motion to the right and down.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
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
from talaria.records import Video
from talaria.store.files import written_aside
from talaria.store.frame_store import frames_path
from talaria.store.ledger import Ledger


@dataclass(frozen=True)
class FramesPlan:
    """What every worker that stores frames needs to know.

    Attributes:
        folder: absolute.
        streams: clip settings by name of the stream, of which rate, size and flow count.
    """

    folder: str
    streams: Mapping[str, ClipSpec]
    decode_limit_s: float


def store_frames(
    plan: FramesPlan, videos: Sequence[Video], ledger: Ledger, limits: StageLimits, on_video: OnVideo
) -> None:
    """Store the frames of every video that has no ledger row yet.

    Raises:
        StageError: too many videos failed, or all of them.
        ConfigError: flow is asked for, and what computes it is not installed.
    """
    todo = {video.video_id: video for video in unfinished(videos, ledger, limits.retry_failed)}
    if todo:
        for spec in plan.streams.values():
            if spec.flow is not None:
                flow_method(spec.flow)  # told here, not by every video
        rows = [{"video_id": video.video_id, "path": video.path} for video in todo.values()]
        stored = (
            ray_data()
            .from_items(rows, override_num_blocks=len(rows))
            .map_batches(store_video, fn_kwargs={"plan": plan}, batch_size=1, num_cpus=1)
        )
        for answer in rows_of(stored.iter_batches(batch_size=None, batch_format="numpy")):
            video = todo[str(answer["video_id"])]
            decoded_s = float(answer["decoded_s"])
            if answer["error"]:
                row = failed_row(video, ledger, "decode", str(answer["error"]), decoded_s or None)
            else:
                note = "; ".join(
                    part for part in (str(answer["oddity"]), length_note(video, decoded_s)) if part
                )
                row = done_row(video, ledger, decoded_s, int(answer["num_frames"]), note)
            ledger.add(row)
            on_video(row)
    ledger.close(limits.max_failed_frac, "frames")


def store_video(batch: Mapping[str, NDArray[Any]], plan: FramesPlan) -> dict[str, NDArray[Any]]:
    """A Ray Data map over one video: decode it for every stream, leave its frames, say what came of it."""
    video_id, path = str(batch["video_id"][0]), str(batch["path"][0])
    summary, num_frames, error = DecodedSummary(), 0, ""
    try:
        for stream, spec in plan.streams.items():
            blocks = clip_frames(path, spec, time_limit_s=plan.decode_limit_s, summary=summary)
            num_frames = _write(frames_path(Path(plan.folder), video_id, stream), blocks, spec, summary)
    except DataError as failure:
        error = str(failure)
    return {
        "video_id": np.array([video_id]),
        "num_frames": np.array([num_frames]),
        "decoded_s": np.array([summary.duration_s]),
        "error": np.array([error]),
        "oddity": np.array([summary.error or ""]),
    }


def _write(path: Path, blocks: Iterable[NDArray[np.uint8]], spec: ClipSpec, summary: DecodedSummary) -> int:
    """Store a stream as it comes; memory holds one block. Returns the number of frames."""
    num_frames = 0
    with written_aside(path) as aside, aside.open("wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block).data)
            num_frames += len(block)
    with written_aside(path.with_suffix(".json")) as aside:
        shape = [num_frames, spec.height, spec.width, spec.channels]
        aside.write_text(json.dumps({"shape": shape, "decoded_s": summary.duration_s}))
    return num_frames
