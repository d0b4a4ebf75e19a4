"""The decoder's side of an extraction; it imports no torch, which would cost each process seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talaria.data.decoding import decode_frames
from talaria.data.decoding_messages import DecodedSummary
from talaria.errors import DataError
from talaria.features.chunks import FrameChunk, chunk_frames, frame_chunks
from talaria.features.requests import ExtractionPlan


def decode_chunks(
    batch: Mapping[str, NDArray[Any]], plan: ExtractionPlan
) -> Iterator[dict[str, NDArray[Any]]]:
    """A Ray Data map over one video: its chunks; the last says how many there are and what went wrong."""
    video_id = str(batch["video_id"][0])
    summary = DecodedSummary()
    held: FrameChunk | None = None
    try:
        stream = decode_frames(
            str(batch["path"][0]), plan.spec, time_limit_s=plan.decode_limit_s, summary=summary
        )
        for chunk in frame_chunks(stream, plan.spec, plan.chunk_clips):
            if held is not None:
                yield _chunk_row(video_id, held, 0, 0.0, "")
            held = chunk
    except DataError as failure:
        held, reason = None, str(failure)
    if held is None:
        shape = (chunk_frames(plan.spec, plan.chunk_clips), plan.spec.height, plan.spec.width, 3)
        yield _chunk_row(video_id, FrameChunk(0, 0, np.zeros(shape, np.uint8)), -1, 0.0, reason)
        return
    yield _chunk_row(video_id, held, held.chunk_idx + 1, summary.duration_s, summary.error or "")


def _chunk_row(
    video_id: str, chunk: FrameChunk, num_chunks: int, decoded_s: float, error: str
) -> dict[str, NDArray[Any]]:
    return {
        "video_id": np.array([video_id]),
        "chunk_idx": np.array([chunk.chunk_idx]),
        "num_valid": np.array([chunk.num_valid]),
        "num_chunks": np.array([num_chunks]),
        "decoded_s": np.array([decoded_s]),
        "error": np.array([error]),
        "frames": chunk.frames[None],
    }
