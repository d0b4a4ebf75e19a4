"""What becomes of a video's chunks: part files, then one shard. No torch here: it is a small task."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from talaria.features.requests import ExtractionPlan
from talaria.store.feature_store import FeatureStore


def part_path(plan: ExtractionPlan, video_id: str, chunk_idx: int) -> Path:
    """Where a chunk's result waits until its video is complete."""
    return Path(plan.store) / "parts" / video_id / f"{chunk_idx:06d}.npz"


def commit_video(plan: ExtractionPlan, video_id: str, num_chunks: int, decoded_s: float) -> int:
    """Join the parts of a video into its shard; returns its number of snippets. Safe to repeat."""
    store = FeatureStore(Path(plan.store))
    parts = [part_path(plan, video_id, chunk) for chunk in range(num_chunks)]
    if not all(part.is_file() for part in parts):
        return len(store.read(video_id).features_TC)  # an earlier attempt of this task got to the end
    loaded = [np.load(part) for part in parts]
    features_TC = np.concatenate([part["features"] for part in loaded])
    logits_TK = np.concatenate([part["logits"] for part in loaded])
    store.write(video_id, features_TC, logits_TK, decoded_s)
    shutil.rmtree(parts[0].parent, ignore_errors=True)
    return len(features_TC)
