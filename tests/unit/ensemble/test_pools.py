"""A pool of all segments is the maps themselves; a small one keeps the best; shards give pools back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talaria.ensemble.fusion import align, fuse
from talaria.ensemble.pool import Shortlist, VideoPool, pooled
from talaria.ensemble.pool_store import PoolPlan, read_pools, write_pools
from talaria.ensemble.scoring import FusionSet
from talaria.errors import DataError
from talaria.prediction.postprocess import postprocess
from talaria.prediction.refined import RefinedPrediction
from talaria.prediction.stores import RawMeta, write_raw
from unit.ensemble.fusion_sets import FIXED, NOISES, beliefs, fusion_set
from unit.prediction.beliefs import CLASSES, DURATION_S, believed, made_truth, made_videos, rng_of

VIDEOS = made_videos(4)
WEIGHTS = (0.4, 0.3, 0.2, 0.1)


def refined(video_id: str, member: str) -> RefinedPrediction:
    """Some refined proposals, the same proposals for all members."""
    proposals = np.sort(rng_of("proposals", video_id).random((7, 2)), axis=1)
    rng = rng_of(member, video_id)
    return RefinedPrediction(
        video_id,
        DURATION_S,
        proposals,
        np.linspace(1, 0.4, 7),
        np.sort(rng.random((7, 2)), axis=1),
        rng.random(7),
        rng.normal(size=(1, len(CLASSES))),
    )


def test_a_pool_of_all_segments_gives_what_the_fused_maps_give() -> None:
    mixed = [[*beliefs(video)[:3], believed(video, size=11, noise=0.6, member="small")] for video in VIDEOS]
    for listed in (mixed, [beliefs(video) for video in VIDEOS]):
        pools = [pooled(one, 10_000, common=True) for one in listed]
        found = FusionSet.of("abcd", pools, made_truth(VIDEOS)).detections(WEIGHTS, FIXED)
        expected = postprocess([fuse(one, WEIGHTS) for one in listed], FIXED, CLASSES)
        for column in ("video_idx", "label_idx", "start_s", "end_s", "score"):
            np.testing.assert_allclose(getattr(found, column), getattr(expected, column), rtol=1e-6)


def test_a_small_pool_keeps_the_best_of_every_member_and_of_all() -> None:
    pool = pooled(beliefs(VIDEOS[0]), 30, common=True)
    assert isinstance(pool.joint, Shortlist)
    assert len(pool.joint.segments_C2) == 30
    kept = {tuple(row) for row in pool.joint.segments_C2.tolist()}
    fused = fuse(beliefs(VIDEOS[0]), [0.25] * 4)
    for one in (fused, *beliefs(VIDEOS[0])):
        best, *_ = one.candidates(FIXED)
        assert {tuple(row) for row in best[:3].tolist()} <= kept


def test_the_weights_decide_and_one_member_alone_is_that_member() -> None:
    data = fusion_set(VIDEOS)
    own = data.only(1)
    assert own.members == ("fair",)
    expected = postprocess([beliefs(video)[1] for video in VIDEOS], FIXED, CLASSES)
    found = own.detections((1.0,), FIXED)
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-6)
    np.testing.assert_array_equal(found.video_idx, expected.video_idx)


def same(found: VideoPool, expected: VideoPool) -> None:
    """Both hold the same numbers."""
    assert (found.video_id, found.duration_s) == (expected.video_id, expected.duration_s)
    np.testing.assert_array_equal(found.class_logits_NRK, expected.class_logits_NRK)
    assert (found.joint is None) == (expected.joint is None)
    for one, other in zip((*found.alone, found.joint), (*expected.alone, expected.joint), strict=True):
        assert type(one) is type(other)
        for name, value in (vars(other) if other is not None else {}).items():
            if name != "class_logits_NRK":
                np.testing.assert_array_equal(getattr(one, name), value)


def test_pools_of_every_kind_come_back_from_disk(tmp_path: Path) -> None:
    ids = [video.video_id for video in VIDEOS]
    made = [
        pooled(beliefs(VIDEOS[0]), 20, common=True),
        pooled([refined(ids[1], member) for member in "ab"], 20, common=True),
        pooled([believed(VIDEOS[2]), refined(ids[2], "a")], 20, common=False),
        pooled([believed(VIDEOS[3], clip_rows=5), believed(VIDEOS[3], clip_rows=9)], 20, common=True),
    ]
    write_pools(tmp_path / "part-1.parquet", made[2:])
    write_pools(tmp_path / "part-0.parquet", made[:2])
    for found, expected in zip(read_pools(tmp_path, ids), made, strict=True):
        same(found, expected)
    assert [pool.video_id for pool in read_pools(tmp_path, [ids[2], "unknown"])] == [ids[2]]
    (tmp_path / "part-0.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(DataError, match=r"part-0\.parquet: is damaged"):
        read_pools(tmp_path, ids)


def test_a_plan_pools_what_the_members_left_on_disk(tmp_path: Path) -> None:
    ids = tuple(video.video_id for video in VIDEOS)
    for index, name in enumerate(NOISES):
        meta = RawMeta(name, "d", "val", ids, CLASSES, "decoded")
        rows = [beliefs(video)[index] for video in VIDEOS]
        write_raw(tmp_path / name / "a.parquet", rows, meta)
    stores = tuple(str(tmp_path / name) for name in NOISES)
    plan = PoolPlan(str(tmp_path), stores, 40, True, ids[1:3])
    row_of = plan.load()
    plan.write(plan.folder / "part.parquet", [row_of(video_id) for video_id in plan.video_ids])
    pools = read_pools(plan.folder, ids)
    assert [pool.video_id for pool in pools] == list(ids[1:3])
    data = FusionSet.of(tuple(NOISES), pools, made_truth(VIDEOS[1:3]))
    expected = fusion_set(VIDEOS[1:3])
    assert data.average_map(WEIGHTS, FIXED) == pytest.approx(expected.average_map(WEIGHTS, FIXED), abs=0.02)


def test_members_of_several_kinds_have_nothing_in_common() -> None:
    listed = [believed(VIDEOS[0]), refined(VIDEOS[0].video_id, "a")]
    with pytest.raises(DataError, match="1 members have maps, 1 refined proposals"):
        align(listed)
    assert pooled(listed, 10, common=False).joint is None
