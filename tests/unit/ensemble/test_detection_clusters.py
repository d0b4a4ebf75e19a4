"""Clusters of detections: the same action of several members is one segment, in the middle of theirs."""

from __future__ import annotations

import numpy as np
import pytest

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.clusters import clustered
from talaria.prediction.candidates import Candidates


def found(*rows: tuple[int, float, float, float]) -> Candidates:
    """Detections as (video, start, end, score)."""
    table = np.array(rows, np.float64).reshape(-1, 4)
    return Candidates(table[:, 0].astype(np.int64), table[:, 1:3], table[:, 3])


ALL = PostprocessConfig()


def test_a_segment_of_several_members_is_their_mean_by_weight_and_score() -> None:
    stack = clustered([found((0, 0.1, 0.3, 0.8)), found((0, 0.12, 0.32, 0.4))], (1.0, 1.0), 1)
    assert len(stack.video_idx) == 1
    fused = stack.candidates((0.5, 0.5), ALL)
    np.testing.assert_allclose(fused.score, [0.6])
    np.testing.assert_allclose(fused.segments_frac, [[(0.8 * 0.1 + 0.4 * 0.12) / 1.2, 0.3 + 0.02 / 3]])
    only = stack.candidates((0.0, 1.0), ALL)
    np.testing.assert_allclose(only.segments_frac, [[0.12, 0.32]])


def test_what_one_member_finds_alone_counts_by_its_weight() -> None:
    stack = clustered([found((0, 0.1, 0.3, 0.8)), found((0, 0.6, 0.9, 0.5))], (1.0, 1.0), 1)
    fused = stack.candidates((0.75, 0.25), ALL)
    np.testing.assert_allclose(fused.score, [0.6, 0.125])
    assert len(stack.candidates((1.0, 0.0), ALL).score) == 1


def test_no_cluster_holds_two_detections_of_a_member() -> None:
    twice = found((0, 0.1, 0.3, 0.8), (0, 0.1, 0.31, 0.7))
    stack = clustered([twice, found((0, 0.1, 0.3, 0.4))], (1.0, 1.0), 1)
    assert len(stack.video_idx) == 2
    assert ((stack.scores_NX > 0).sum(axis=0) == [2, 1]).all()


def test_scores_are_compared_by_their_scales_and_videos_apart() -> None:
    members = [found((0, 0.1, 0.3, 8.0), (2, 0.1, 0.3, 4.0)), found((2, 0.1, 0.3, 0.2))]
    stack = clustered(members, (8.0, 0.2), 3)
    assert stack.video_idx.tolist() == [0, 2]
    np.testing.assert_allclose(stack.scores_NX, [[1.0, 0.5], [0.0, 1.0]])


def test_the_order_of_members_does_not_decide_where_segments_go() -> None:
    rng = np.random.default_rng(0)
    members = [
        found(*((0, start, start + 0.1, rng.random()) for start in 0.8 * rng.random(9))) for _ in range(2)
    ]
    there = clustered(members, (1.0, 1.0), 1).candidates((0.5, 0.5), ALL)
    back = clustered(members[::-1], (1.0, 1.0), 1).candidates((0.5, 0.5), ALL)
    assert there.score.sum() == pytest.approx(back.score.sum())


def test_no_detections_make_no_clusters() -> None:
    stack = clustered([found(), found()], (1.0, 1.0), 2)
    assert stack.scores_NX.shape == (2, 0)
    assert len(stack.candidates((0.5, 0.5), ALL).score) == 0
