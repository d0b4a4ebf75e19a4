"""The members' pools: made by Ray from their raw predictions, kept for all ensembles of these members."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from talaria.config.fingerprint import fingerprint
from talaria.ensemble.pool_store import PoolPlan, read_pools
from talaria.ensemble.scoring import FusionSet
from talaria.evaluation.arrays import FloatArray, GroundTruth
from talaria.pipeline.predictions import Work, run_plans
from talaria.pipeline.session import Session
from talaria.prediction.stores import RawStore
from talaria.store.artifact import RECORD
from talaria.store.files import read_json

_STAGE = "pools"
_FORM = 2
"""Of the files; pools of another one are made anew."""


def pooled_set(
    session: Session,
    stores: Mapping[str, RawStore],
    truth: GroundTruth,
    class_logits: Mapping[str, FloatArray] | None,
) -> FusionSet:
    """What some members say of the videos of `truth`, pooled if it was not before.

    Args:
        stores: by member, checked by `talaria.ensemble.members` to be about the same videos.
        truth: may hold a part of these videos only, such as one subset.
        class_logits: (K,) by video, which all members take; None leaves each its own.

    Raises:
        DataError: predictions that are missing or damaged, or a video without class logits.
    """
    predicted = set(next(iter(stores.values())).video_ids)
    work = _work(session, stores, sorted(predicted & set(truth.video_ids)))
    run_plans(session, _STAGE, [work])
    pools = read_pools(work.plan.folder, predicted & set(truth.video_ids))
    return FusionSet.of(tuple(stores), pools, truth).classified_by(class_logits)


def made_from(predictions: Path) -> str:
    """Fingerprint of a member's raw predictions, or where they lie if nothing is recorded of them."""
    record = predictions.parent / RECORD
    return str(read_json(record)["fingerprint"]) if record.is_file() else str(predictions)


def _work(session: Session, stores: Mapping[str, RawStore], video_ids: Collection[str]) -> Work:
    kinds = {store.meta.proposals for store in stores.values()}
    size = session.config.postprocess.proposals_per_video
    fields = {
        "members": [(name, made_from(store.folder)) for name, store in stores.items()],
        "videos": fingerprint(list(video_ids)),
        "size": size,
        "form": _FORM,
    }
    artifact = session.artifact(_STAGE, fingerprint(fields)[:8], "1", fields)
    plan = PoolPlan(
        out=str(artifact.folder),
        stores=tuple(str(store.folder) for store in stores.values()),
        size=size,
        common=len(kinds) == 1,
        video_ids=tuple(video_ids),
    )
    return Work(artifact, plan)
