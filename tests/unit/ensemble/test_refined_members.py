"""Refined proposals: scored by their powers, fused by proposal, kept on disk, never mixed with maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.fusion import fuse
from talaria.ensemble.pool import pooled
from talaria.ensemble.proposing import proposed
from talaria.ensemble.scoring import FusionSet
from talaria.errors import DataError
from talaria.evaluation.suppression import soft_nms
from talaria.prediction.refined import RefinedPrediction
from talaria.prediction.stores import RawMeta, RawStore, write_raw
from talaria.store.proposal_store import ProposalStore, VideoProposals, write_proposals
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
CONFIG = PostprocessConfig(detections_per_video=7)


def refined(index: int = 0, member: str = "a", count: int = 5) -> RefinedPrediction:
    """What a member makes of proposals that are the same for all members."""
    video, rng = VIDEOS[index], rng_of("proposals", index)
    proposals = np.sort(rng.random((count, 2)), axis=1)
    own = rng_of("refined", member, index)
    return RefinedPrediction(
        video.video_id,
        DURATION_S,
        proposals,
        np.sort(rng.random(count))[::-1],
        np.sort(own.random((count, 2)), axis=1),
        own.random(count),
        own.normal(size=(1, len(CLASSES))),
    )


def test_candidates_are_scored_by_both_powers_and_the_best_come_first() -> None:
    one = refined()
    segments, scores, _ = one.candidates(replace(CONFIG, proposal_power=0.5, refined_power=2.0))
    expected = one.proposal_scores_P.astype(float) ** 0.5 * one.scores_P.astype(float) ** 2
    np.testing.assert_allclose(scores, np.sort(expected)[::-1])
    np.testing.assert_array_equal(segments, one.segments_P2[np.argsort(-expected)].astype(float))
    assert len(one.candidates(replace(CONFIG, proposals_per_video=2))[1]) == 2


def test_refiners_are_fused_proposal_by_proposal() -> None:
    one, other = refined(member="a"), refined(member="b")
    fused = fuse([one, other], [0.25, 0.75])
    assert isinstance(fused, RefinedPrediction)
    np.testing.assert_allclose(
        fused.segments_P2, 0.25 * one.segments_P2 + 0.75 * other.segments_P2, rtol=1e-6
    )
    np.testing.assert_allclose(fused.scores_P, 0.25 * one.scores_P + 0.75 * other.scores_P, rtol=1e-6)
    np.testing.assert_array_equal(fused.proposals_P2, one.proposals_P2)


def test_other_proposals_and_maps_are_refused() -> None:
    one = refined()
    moved = replace(one, proposals_P2=one.proposals_P2 * np.float32(0.5))
    with pytest.raises(DataError, match="refined other proposals"):
        fuse([one, moved], [0.5, 0.5])
    with pytest.raises(DataError, match="1 members have maps, 1 refined proposals"):
        fuse([one, believed(VIDEOS[0], size=6)], [0.5, 0.5])


def test_what_is_read_is_what_was_written_even_without_proposals(tmp_path: Path) -> None:
    made = [refined(0), refined(1, count=0), refined(2)]
    meta = RawMeta("tca", "d", "testing", tuple(one.video_id for one in made), CLASSES, "decoded", "p1")
    write_raw(tmp_path / "part-0.parquet", made, meta)
    store = RawStore(tmp_path)
    assert store.meta.proposals == "p1"
    for one in made:
        read = store.read(one.video_id)
        assert isinstance(read, RefinedPrediction)
        for name in ("proposals_P2", "proposal_scores_P", "segments_P2", "scores_P", "class_logits_RK"):
            np.testing.assert_array_equal(getattr(read, name), getattr(one, name), err_msg=name)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"segments_P2": np.array([[0.5, 0.4]])}, "segments_P2: holds a segment whose end precedes"),
        ({"scores_P": np.array([1.5])}, "scores_P: values in"),
        ({"proposals_P2": np.zeros((2, 2))}, "proposals_P2: shape"),
        ({"duration_s": 0.0}, "duration_s"),
        ({"class_logits_RK": np.array([[np.nan]])}, "class_logits_RK"),
    ],
)
def test_impossible_values_are_refused(changed: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(refined(count=1), **changed)  # type: ignore[arg-type]


def test_refined_truth_scores_one_and_the_set_knows_its_kind() -> None:
    predictions = []
    for index, video in enumerate(VIDEOS):
        exact = segments_frac(video).astype(np.float32)
        logits = 9.0 * np.eye(len(CLASSES))[[CLASSES.index(video.annotations[0].label)]]
        ones = np.ones(len(exact), np.float32)
        base = refined(index, count=len(exact))
        predictions.append([replace(base, segments_P2=exact, scores_P=ones, class_logits_RK=logits)])
    pools = [pooled(listed, 100, common=True) for listed in predictions]
    data = FusionSet.of(("tca",), pools, made_truth(VIDEOS))
    assert data.refined
    assert data.average_map([1.0], CONFIG) == pytest.approx(1.0)
    maps = pooled([believed(VIDEOS[0])], 100, common=True)
    assert not FusionSet.of(("bmn",), [maps], made_truth(VIDEOS)).refined


def test_proposals_are_the_suppressed_candidates_of_the_fused_maps() -> None:
    beliefs = [believed(VIDEOS[0], size=12, noise=0.4, member=name) for name in "ab"]
    offered = proposed(beliefs, CONFIG)
    segments, scores, _ = fuse(beliefs, [0.5, 0.5]).candidates(CONFIG)
    kept = soft_nms(segments, scores, low=CONFIG.low, high=CONFIG.high, alpha=CONFIG.alpha, top=7)
    np.testing.assert_allclose(offered.segments_P2, segments[kept.index], rtol=1e-6)
    np.testing.assert_allclose(offered.scores_P, kept.score, rtol=1e-6)
    assert len(offered.scores_P) == 7


def test_proposals_come_back_from_disk_and_missing_ones_are_told(tmp_path: Path) -> None:
    none = VideoProposals("quiet", 3.0, np.zeros((0, 2), np.float32), np.zeros(0, np.float32))
    some = proposed([believed(VIDEOS[1], size=8)], CONFIG)
    write_proposals(tmp_path / "part-0.parquet", [some])
    write_proposals(tmp_path / "part-1.parquet", [none])
    store = ProposalStore(tmp_path)
    assert store.video_ids == tuple(sorted((some.video_id, "quiet")))
    np.testing.assert_array_equal(store.read(some.video_id).segments_P2, some.segments_P2)
    assert store.read("quiet").segments_P2.shape == (0, 2)
    with pytest.raises(DataError, match="no proposals of video absent"):
        store.read("absent")
    (tmp_path / "part-1.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(DataError, match=r"part-1\.parquet: is damaged"):
        ProposalStore(tmp_path).read("quiet")
