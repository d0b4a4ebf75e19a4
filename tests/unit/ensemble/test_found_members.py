"""Segments that a detector found by itself: their own classes count, alone and beside other kinds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.fusion import fuse
from talaria.ensemble.pool import pooled
from talaria.ensemble.pool_store import read_pools, write_pools
from talaria.ensemble.scoring import FusionSet
from talaria.errors import DataError
from talaria.prediction.found import FoundPrediction
from talaria.prediction.postprocess import postprocess
from talaria.prediction.stores import RawMeta, RawStore, write_raw
from unit.prediction.beliefs import (
    CLASSES,
    DURATION_S,
    believed,
    made_truth,
    made_videos,
    rng_of,
    segments_frac,
)

VIDEOS = made_videos(4)
BY_VIDEO = PostprocessConfig(detections_per_video=7, classes_per_video=1)
BY_PROPOSAL = replace(BY_VIDEO, classification="proposal")


def exact(index: int, *, right: bool = True, clip_class: int = 0) -> FoundPrediction:
    """The truth of a video with its classes, or wrong ones, and clip scores of one class throughout."""
    video = VIDEOS[index]
    labels = [CLASSES.index(note.label) for note in video.annotations]
    classes = np.eye(len(CLASSES), dtype=np.float32)[[(one + (not right)) % len(CLASSES) for one in labels]]
    count = len(labels)
    return FoundPrediction(
        video.video_id,
        DURATION_S,
        segments_frac(video).astype(np.float32).reshape(-1, 2),
        np.full(count, 0.9, np.float32),
        classes.reshape(count, len(CLASSES)),
        9.0 * np.eye(len(CLASSES))[[clip_class]],
    )


def of_all(*listed: list[FoundPrediction]) -> FusionSet:
    """One set of one member for each list."""
    pools = [pooled(list(rows), 100, common=len(rows) == 1) for rows in zip(*listed, strict=True)]
    return FusionSet.of([f"m{index}" for index in range(len(listed))], pools, made_truth(VIDEOS))


def test_by_proposal_the_segments_own_classes_count_and_by_video_those_of_the_video() -> None:
    found = postprocess([exact(0)], BY_PROPOSAL, CLASSES)
    assert found.label_idx.tolist() == [CLASSES.index(note.label) for note in VIDEOS[0].annotations]
    other = (CLASSES.index(VIDEOS[0].annotations[0].label) + 1) % len(CLASSES)
    assert set(postprocess([exact(0, clip_class=other)], BY_VIDEO, CLASSES).label_idx.tolist()) == {other}


def test_scores_are_the_products_of_both() -> None:
    one = replace(exact(0), class_scores_PK=exact(0).class_scores_PK * np.float32(0.5))
    found = postprocess([one], replace(BY_PROPOSAL, refined_power=2.0, class_power=3.0), CLASSES)
    assert found.score[0] == pytest.approx(0.9**2 * 0.5**3)


def test_the_truth_scores_one_and_wrong_classes_nothing() -> None:
    assert of_all([exact(i) for i in range(4)]).average_map([1.0], BY_PROPOSAL) == pytest.approx(1.0)
    assert of_all([exact(i, right=False) for i in range(4)]).average_map([1.0], BY_PROPOSAL) < 0.3


def test_clusters_take_the_mean_of_their_classes_and_maps_bring_those_of_their_clips() -> None:
    mine, theirs = [exact(i) for i in range(4)], [exact(i, right=False) for i in range(4)]
    sure = [replace(one, scores_P=one.scores_P * np.float32(0.1)) for one in theirs]
    data = of_all(mine, sure)
    assert data.joint is None
    late = data.late([BY_PROPOSAL] * 2, data.video_ids)
    together = data.clustered(replace(late, scales=(1.0, 1.0)))
    assert together.average_map([0.5, 0.5], BY_PROPOSAL) == pytest.approx(1.0)
    pools = [pooled([mine[i], believed(VIDEOS[i], size=12)], 100, common=False) for i in range(4)]
    mixed = FusionSet.of(["found", "bmn"], pools, made_truth(VIDEOS))
    mixed = mixed.clustered(mixed.late([BY_PROPOSAL] * 2, mixed.video_ids))
    assert mixed.average_map([1.0, 0.0], BY_PROPOSAL) > 0.9
    by_video = FusionSet.of(["found", "bmn"], pools, made_truth(VIDEOS))
    by_video = by_video.clustered(by_video.late([BY_VIDEO] * 2, by_video.video_ids))
    assert len(by_video.detections([0.5, 0.5], BY_VIDEO).score)


def test_several_are_never_fused_segment_by_segment() -> None:
    with pytest.raises(DataError, match="2 found segments by themselves"):
        fuse([exact(0), exact(0)], [0.5, 0.5])


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    nothing = replace(
        exact(1),
        segments_P2=np.zeros((0, 2)),
        scores_P=np.zeros(0),
        class_scores_PK=np.zeros((0, len(CLASSES))),
    )
    made = [exact(0), nothing]
    meta = RawMeta(
        "tan", "d", "testing", tuple(one.video_id for one in made), CLASSES, "decoded", "found by x"
    )
    write_raw(tmp_path / "part-0.parquet", made, meta)
    for one in made:
        read = RawStore(tmp_path).read(one.video_id)
        assert isinstance(read, FoundPrediction)
        for name in ("segments_P2", "scores_P", "class_scores_PK", "class_logits_RK"):
            np.testing.assert_array_equal(getattr(read, name), getattr(one, name), err_msg=name)


def test_pools_come_back_from_disk_with_classes(tmp_path: Path) -> None:
    pools = [pooled([exact(i), believed(VIDEOS[i], size=6)], 20, common=False) for i in range(2)]
    write_pools(tmp_path / "part-0.parquet", pools)
    for made, read in zip(pools, read_pools(tmp_path, [pool.video_id for pool in pools]), strict=True):
        mine, other = read.alone
        np.testing.assert_array_equal(mine.class_scores_PK, made.alone[0].class_scores_PK)  # type: ignore[union-attr]
        assert not hasattr(other, "class_scores_PK")
        assert read.joint is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"segments_P2": np.array([[0.5, 0.4]])}, "segments_P2: holds a segment whose end precedes"),
        ({"scores_P": np.array([1.5])}, "scores_P: values in"),
        ({"class_scores_PK": np.zeros((2, 3))}, "class_scores_PK: shape"),
        ({"class_scores_PK": np.full((1, 3), -1.0)}, "class_scores_PK: values in"),
        ({"duration_s": 0.0}, "duration_s"),
    ],
)
def test_impossible_values_are_refused(changed: dict[str, object], told: str) -> None:
    rng = rng_of("found")
    one = FoundPrediction(
        "v", 3.0, np.array([[0.1, 0.2]]), rng.random(1), rng.random((1, 3)), np.zeros((1, 3))
    )
    with pytest.raises(ValueError, match=told):
        replace(one, **changed)  # type: ignore[arg-type]
