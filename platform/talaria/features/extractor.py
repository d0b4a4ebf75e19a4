"""The worker's side of an extraction: a video's file in, its shard on disk.

Decoding (a process of its own), cutting (a thread) and the network overlap, so that a worker keeps two cores,
or a core and a GPU, busy; frames never leave its machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talaria.data.decoding_messages import DecodedSummary
from talaria.data.flow import clip_frames
from talaria.errors import DataError
from talaria.features.chunk_network import ChunkNetwork
from talaria.features.chunks import frame_chunks
from talaria.features.read_ahead import read_ahead
from talaria.features.requests import Extracted, ExtractionPlan
from talaria.store.feature_store import FeatureStore, ShardWriter


class Extractor:
    """A Ray Data actor. Its calls may run in threads beside each other; one of them computes at a time."""

    def __init__(self, plan: ExtractionPlan) -> None:
        self._plan = plan
        self._store = FeatureStore(Path(plan.store))
        self._network = ChunkNetwork(plan)
        self._turn = threading.Lock()

    def __call__(self, batch: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One video in, one row out that says what came of it."""
        found = self.extracted(str(batch["video_id"][0]), str(batch["path"][0]))
        return {key: np.array([value]) for key, value in vars(found).items()}

    def extracted(self, video_id: str, path: str) -> Extracted:
        """Compute a video's features and leave its shard; nothing is left of a video that fails."""
        found, began_s = Extracted(video_id), time.monotonic()
        try:
            with self._store.writer(video_id) as shard:
                self._fill(shard, path, found)
                found.num_snippets = shard.close(found.decoded_s, found.note)
        except DataError as failure:
            found.error = str(failure)
        found.wall_s = time.monotonic() - began_s
        return found

    def _fill(self, shard: ShardWriter, path: str, found: Extracted) -> None:
        plan, summary = self._plan, DecodedSummary()
        stream = clip_frames(path, plan.spec, time_limit_s=plan.decode_limit_s, summary=summary)
        for chunk in read_ahead(frame_chunks(stream, plan.spec, plan.chunk_clips)):
            with self._turn:
                began_s = time.thread_time()
                features_KC, logits_KK = self._network(chunk.frames)
                found.forward_cpu_s += time.thread_time() - began_s
            if not (np.isfinite(features_KC).all() and np.isfinite(logits_KK).all()):
                raise DataError(
                    f"{path}: features are not finite in {plan.dtype}; where float32 holds them, set the "
                    "backbone's feature_dtype to it"
                )
            shard.append(features_KC[: chunk.num_valid], logits_KK[: chunk.num_valid])
        found.decoded_s, found.note = summary.duration_s, summary.error or ""
        found.decode_cpu_s = summary.cpu_s
