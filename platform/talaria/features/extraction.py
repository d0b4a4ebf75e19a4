"""Extraction on Ray Data: videos are dealt to actors, each of which leaves whole shards.

Frames and features never pass through the driver: it hands out paths and gets a row a video. A shard says all
that its ledger row needs, so that a killed driver's finished videos are entered, not computed, by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from talaria.cluster.connect import Capacity
from talaria.cluster.data import ray_data
from talaria.config.schema import ResourcesSection
from talaria.data.flow import flow_method
from talaria.features.extractor import Extractor
from talaria.features.requests import (
    Extracted,
    ExtractionPlan,
    StageLimits,
    done_row,
    failed_row,
    length_note,
    rows_of,
    unfinished,
)
from talaria.records import Video
from talaria.store.feature_store import FeatureStore
from talaria.store.ledger import Ledger, LedgerRow

OnExtracted = Callable[[LedgerRow, Extracted], None]
_ACTOR_VIDEOS, _ACTOR_BYTES = 8, 10 * 2**20
_MOST_BLOCKS = 1000
"""Ray Data's own work grows with the number of blocks."""


def extract(
    plan: ExtractionPlan,
    videos: Sequence[Video],
    ledger: Ledger,
    limits: StageLimits,
    resources: ResourcesSection,
    capacity: Capacity,
    on_video: OnExtracted,
) -> None:
    """Compute the features of every video that has no ledger row yet.

    Args:
        plan: what to compute and where it goes.
        videos: all videos of the dataset.
        ledger: rows of earlier calls; new ones are added as videos end.
        on_video: called with each new row and what it was made from.

    Raises:
        StageError: too many videos failed, or all of them.
        ConfigError: features of flow are asked for, and what computes it is not installed.
    """
    store, todo = FeatureStore(Path(plan.store)), {}
    for video in unfinished(videos, ledger, limits.retry_failed):
        facts = store.facts(video.video_id)
        if facts is None:
            todo[video.video_id] = video
        else:
            found = Extracted(
                video.video_id,
                decoded_s=facts.decoded_s,
                num_snippets=facts.num_snippets,
                note=facts.note,
            )
            _enter(video, found, ledger, on_video)
    if todo:
        if plan.spec.flow is not None:
            flow_method(plan.spec.flow)  # told here, not by every worker
        for found in _extracted(plan, list(todo.values()), resources, capacity):
            _enter(todo[found.video_id], found, ledger, on_video)
    ledger.close(limits.max_failed_frac, "features")


def dealt(sizes_bytes: Sequence[int], num_blocks: int) -> list[list[int]]:
    """Indices of videos in blocks of like numbers, large ones first in each and in the first blocks.

    A large video that comes last would keep one actor busy while the others have nothing left to do.
    """
    order = sorted(range(len(sizes_bytes)), key=lambda index: (-sizes_bytes[index], index))
    return [order[first::num_blocks] for first in range(num_blocks)]


def _enter(video: Video, found: Extracted, ledger: Ledger, on_video: OnExtracted) -> None:
    row = _ledger_row(video, ledger, found)
    ledger.add(row)
    on_video(row, found)


def _ledger_row(video: Video, ledger: Ledger, found: Extracted) -> LedgerRow:
    if found.error:
        return failed_row(video, ledger, "decode", found.error, None)
    note = "; ".join(part for part in (found.note, length_note(video, found.decoded_s)) if part)
    return done_row(video, ledger, found.decoded_s, found.num_snippets, note)


def _extracted(
    plan: ExtractionPlan, todo: Sequence[Video], resources: ResourcesSection, capacity: Capacity
) -> Iterator[Extracted]:
    sizes_bytes = [_size_bytes(video) for video in todo]
    blocks = dealt(sizes_bytes, min(len(todo), _MOST_BLOCKS))
    tables = [
        pa.table(
            {
                "video_id": [todo[index].video_id for index in block],
                "path": [todo[index].path for index in block],
            }
        )
        for block in blocks
    ]
    at_once = capacity.videos_per_actor(resources)
    data = ray_data()
    actors = data.ActorPoolStrategy(
        size=min(capacity.actors(resources), len(blocks), actors_worth(sizes_bytes)),
        max_tasks_in_flight_per_actor=at_once + 1,
        enable_true_multi_threading=at_once > 1,
    )
    dataset = data.from_arrow(tables).map_batches(
        Extractor,
        fn_constructor_kwargs={"plan": plan},
        batch_size=1,
        compute=actors,
        max_concurrency=at_once,
        **capacity.share_of_an_actor(resources),
    )
    for row in rows_of(dataset.iter_batches(batch_size=None, batch_format="numpy")):
        yield Extracted.of_row(row)


def actors_worth(sizes_bytes: Sequence[int]) -> int:
    """Actors that so much work is worth: each takes some seconds to start."""
    return max(-(-len(sizes_bytes) // _ACTOR_VIDEOS), -(-sum(sizes_bytes) // _ACTOR_BYTES))


def _size_bytes(video: Video) -> int:
    path = Path(str(video.path))
    return path.stat().st_size if path.is_file() else 0
