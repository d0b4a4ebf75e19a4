"""Stored features against their ledger, their contract and the videos that they were made from.

Nothing is changed and no Ray is needed. Chunks are fixed, so the same device gives the same numbers again.

Letters: T snippets, C channels, K logits.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from talaria.cluster.connect import Capacity
from talaria.config.specs import ClipSpec, FlowSpec
from talaria.data.decoding_messages import DecodedSummary
from talaria.data.flow import clip_frames
from talaria.errors import DataError
from talaria.features.chunk_network import ChunkNetwork
from talaria.features.chunks import frame_chunks
from talaria.features.requests import ExtractionPlan
from talaria.records import Video
from talaria.seeds import content_seed
from talaria.store.feature_store import FeatureContract, FeatureStore, VideoFeatures
from talaria.store.ledger import Ledger, LedgerRow

OTHER_DEVICE_FRAC = 0.03
"""Largest difference between kinds of devices: bfloat16 on a GPU moves our backbones by up to 0.8 %."""
_CHUNKS = 4


@dataclass(frozen=True)
class Finding:
    """What was found out about one video.

    Attributes:
        num_snippets: of them were computed again; 0 where only the shard was read.
        largest_frac: largest difference, as a fraction of the largest number stored for the video.
        problem: one sentence; empty where nothing is wrong.
    """

    video_id: str
    num_snippets: int = 0
    largest_frac: float = 0.0
    problem: str = ""


def device_kind() -> str:
    """What this process would compute features on; other kinds may round otherwise."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else 'CPU'}, {torch.backends.cpu.get_cpu_capability()}"


def common_device(capacity: Capacity) -> str | None:
    """What all of a cluster computes on, where it is this machine alone; None where that is not known."""
    here_alone = capacity.nodes == 1 and capacity.gpu == torch.cuda.is_available()
    return device_kind() if here_alone else None


def shard_findings(store: FeatureStore, ledger: Ledger, num_logits: int) -> Iterator[Finding]:
    """Every video whose shard and ledger row do not agree, or whose numbers cannot be right.

    Args:
        store: all its shards are read.
        ledger: of the same folder.
        num_logits: columns that the backbone's classifier has.
    """
    contract = store.contract
    for video_id, row in sorted(ledger.rows.items()):
        if problem := _shard_problem(store, contract, row, num_logits):
            yield Finding(video_id, problem=problem)
    shards = {path.stem for path in (store.folder / "videos").glob("*.parquet")}
    for video_id in sorted(shards - ledger.rows.keys()):
        yield Finding(video_id, problem="the ledger has no row for this shard")


def sampled(ledger: Ledger, fingerprint: str, share: float, videos: Iterable[Video]) -> list[Video]:
    """Videos to compute again: the same ones for the same features, however many were added since.

    Args:
        ledger: only its finished videos are drawn.
        fingerprint: of the features' contract.
        share: how many, or below 1 which part of them.
        videos: those whose files are known.
    """
    done = ledger.done()
    known = [video for video in videos if video.video_id in done and video.path is not None]
    count = math.ceil(share * len(known)) if share < 1 else int(share)
    return sorted(known, key=lambda video: content_seed("verify", fingerprint, video.video_id))[:count]


class Recomputation:
    """A backbone that computes some chunks of stored videos again."""

    def __init__(self, store: FeatureStore, model: Path, chunk_clips: int, decode_limit_s: float) -> None:
        """Load the backbone.

        Args:
            store: what to compare with; its contract decides how.
            model: absolute folder of the backbone.
            chunk_clips: clips that were computed together.
            decode_limit_s: wall-clock limit for decoding one video.
        """
        contract = store.contract
        flow = FlowSpec(**contract.flow) if contract.flow else None
        spec = ClipSpec(
            contract.fps, contract.num_frames, contract.stride_frames, contract.height, contract.width, flow
        )
        self._plan = ExtractionPlan(
            str(store.folder), str(model), spec, chunk_clips, contract.dtype, decode_limit_s
        )
        self._store = store
        self._network = ChunkNetwork(self._plan)

    def finding(self, video: Video, largest_frac: float) -> Finding:
        """A video's stored features beside new ones.

        Args:
            video: a finished one whose file is there.
            largest_frac: difference that is allowed, as a fraction of the largest stored number.
        """
        try:
            stored = self._store.read(video.video_id)
            return self._compared(video, stored, largest_frac)
        except DataError as error:
            return Finding(video.video_id, problem=str(error))

    def _compared(self, video: Video, stored: VideoFeatures, allowed_frac: float) -> Finding:
        plan, summary = self._plan, DecodedSummary()
        chosen = _chosen_chunks(video.video_id, len(stored.features_TC), plan.chunk_clips)
        stream = clip_frames(str(video.path), plan.spec, time_limit_s=plan.decode_limit_s, summary=summary)
        num_snippets = num_compared = 0
        largest_frac = 0.0
        for chunk in frame_chunks(stream, plan.spec, plan.chunk_clips):
            rows = slice(num_snippets, num_snippets + chunk.num_valid)
            num_snippets += chunk.num_valid
            if chunk.chunk_idx in chosen and num_snippets <= len(stored.features_TC):
                features_KC, logits_KK = (part[: chunk.num_valid] for part in self._network(chunk.frames))
                num_compared += chunk.num_valid
                for new, old in ((features_KC, stored.features_TC), (logits_KK, stored.logits_TK)):
                    largest_frac = max(largest_frac, _difference_frac(new, old, rows))
        problems = []
        if num_snippets != len(stored.features_TC) or summary.duration_s != stored.decoded_s:
            problems.append(
                f"the video has {num_snippets} snippets in {summary.duration_s:.2f} s, the store "
                f"{len(stored.features_TC)} in {stored.decoded_s:.2f} s"
            )
        if not largest_frac <= allowed_frac:
            allowed = f"; up to {allowed_frac:.1%} are allowed" if allowed_frac else ""
            problems.append(f"computed again, features are others{allowed}")
        return Finding(video.video_id, num_compared, largest_frac, "; ".join(problems))


def _shard_problem(store: FeatureStore, contract: FeatureContract, row: LedgerRow, num_logits: int) -> str:
    path = store.path(row.video_id)
    if row.status != "done":
        return "the ledger says it failed, but there is a shard" if path.is_file() else ""
    if not path.is_file():
        return "the ledger says it is done, but there is no shard"
    try:
        stored, found = store.read(row.video_id), _layout(path)
    except DataError as error:
        return str(error)
    expected = (contract.dtype, contract.feature_dim, num_logits)
    if found != expected:
        shown = "dtype, channels and logits are {} {} {}, expected {} {} {}"
        return shown.format(*found, *expected)
    if len(stored.features_TC) != row.num_units or stored.decoded_s != row.decoded_s:
        return (
            f"the shard has {len(stored.features_TC)} snippets of {stored.decoded_s} s, the ledger "
            f"{row.num_units} of {row.decoded_s} s"
        )
    if not (np.isfinite(stored.features_TC).all() and np.isfinite(stored.logits_TK).all()):
        return "the shard holds numbers that are not finite"
    return ""


def _layout(path: Path) -> tuple[str, int, int]:
    """Dtype of the features, their channels, and the number of logits."""
    kinds = [pq.read_schema(path).field(name).type for name in ("feature", "logits")]
    if not all(isinstance(kind, pa.FixedShapeTensorType) for kind in kinds):
        raise DataError(f"{path}: holds no tensors; expected a shard of features")
    dtype = np.dtype(kinds[0].value_type.to_pandas_dtype()).name
    return dtype, math.prod(kinds[0].shape), math.prod(kinds[1].shape)


def _chosen_chunks(video_id: str, num_snippets: int, chunk_clips: int) -> Collection[int]:
    """Some chunks of a video by their content, the padded last one among them."""
    *others, last = range(-(-num_snippets // chunk_clips))
    others.sort(key=lambda chunk: content_seed("verify", video_id, chunk))
    return {last, *others[: _CHUNKS - 1]}


def _difference_frac(new: NDArray[np.floating], stored: NDArray[np.float32], rows: slice) -> float:
    largest = float(np.abs(stored).max())
    difference = float(np.abs(new.astype(np.float32) - stored[rows]).max())
    return difference / largest if largest else difference
