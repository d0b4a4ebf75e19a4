"""From beliefs to detections, against a slow version and against truths that are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talaria.config.postprocess import PostprocessConfig
from talaria.errors import DataError
from talaria.evaluation.detection import detection_map
from talaria.evaluation.suppression import soft_nms
from talaria.prediction.postprocess import as_results, class_scores, pooled, postprocess
from talaria.prediction.raw import RawPrediction
from talaria.records import Detection
from unit.prediction.beliefs import CLASSES, DURATION_S, believed, made_truth, made_videos

VIDEOS = made_videos(6)
SETTINGS = PostprocessConfig(map_classification_power=0.7, map_regression_power=1.3, class_power=0.8)


def slow_video_mode(prediction: RawPrediction, config: PostprocessConfig) -> list[Detection]:
    """One video at a time, segment by segment."""
    size = prediction.num_snippets
    rows = []
    for d in range(size):
        for t in range(size - d):
            regression, classification = (float(value) for value in prediction.bm_map_MDT[:, d, t])
            boundary = float(prediction.start_T[t]) * float(prediction.end_T[min(t + d + 1, size - 1)])
            score = classification**config.map_classification_power * regression**config.map_regression_power
            rows.append((t / size, (t + d + 1) / size, score * boundary**config.boundary_power))
    rows.sort(key=lambda row: -row[2])
    rows = rows[: config.proposals_per_video]
    kept = soft_nms(
        np.array([row[:2] for row in rows]),
        np.array([row[2] for row in rows]),
        low=config.low,
        high=config.high,
        alpha=config.alpha,
        top=None,
    )
    logits = prediction.class_logits_RK[0].astype(float)
    share = np.exp(logits) / np.exp(logits).sum()
    best = sorted(range(len(share)), key=lambda k: -share[k])[: config.classes_per_video]
    found = [
        Detection(
            rows[index][0] * DURATION_S,
            rows[index][1] * DURATION_S,
            CLASSES[k],
            score * share[k] ** config.class_power,
        )
        for index, score in zip(kept.index, kept.score, strict=True)
        for k in best
    ]
    return sorted(found, key=lambda one: -one.score)[: config.detections_per_video]


def test_video_mode_agrees_with_the_slow_version() -> None:
    raw = [believed(video, noise=0.6, member="m") for video in VIDEOS]
    config = replace(SETTINGS, proposals_per_video=60, detections_per_video=30)
    ids = [video.video_id for video in VIDEOS]
    results = as_results(postprocess(raw, config, CLASSES), ids, CLASSES)
    for one in raw:
        expected = slow_video_mode(one, config)
        found = results[one.video_id]
        assert [(f.start_s, f.end_s, f.label) for f in found] == [
            (e.start_s, e.end_s, e.label) for e in expected
        ]
        np.testing.assert_allclose([f.score for f in found], [e.score for e in expected], rtol=1e-6)


@pytest.mark.parametrize("classification", ["video", "proposal"])
def test_many_videos_at_once_equal_one_by_one(classification: str) -> None:
    raw = [believed(video, size=8 + i, noise=0.6, clip_rows=20) for i, video in enumerate(VIDEOS)]
    config = replace(SETTINGS, classification=classification)
    together = as_results(postprocess(raw, config, CLASSES), [one.video_id for one in raw], CLASSES)
    for one in raw:
        alone = as_results(postprocess([one], config, CLASSES), [one.video_id], CLASSES)
        assert together[one.video_id] == alone[one.video_id]


@pytest.mark.parametrize(("classification", "clip_rows"), [("video", 0), ("proposal", 120)])
def test_exact_beliefs_find_every_truth(classification: str, clip_rows: int) -> None:
    config = PostprocessConfig(boundary_power=0, classes_per_video=1, classification=classification)
    raw = [believed(video, size=60, clip_rows=clip_rows) for video in VIDEOS]
    result = detection_map(made_truth(VIDEOS), postprocess(raw, config, CLASSES))
    assert result.map_at_tiou[0] == pytest.approx(1.0)
    assert result.average_map > 0.9


def test_proposal_mode_labels_two_classes_in_one_video() -> None:
    """The first half runs, the second dives; a video-level label would be wrong for one of them."""
    size, bm_map = 10, np.zeros((2, 10, 10))
    bm_map[:, 3, 0], bm_map[:, 3, 6] = 0.9, 0.8
    logits = np.zeros((20, 4))
    logits[:10, 2], logits[10:, 0] = 6.0, 6.0
    raw = RawPrediction("v", 20.0, np.ones(size), np.ones(size), bm_map, logits)
    config = PostprocessConfig(classification="proposal", classes_per_video=1, detections_per_video=2)
    found = as_results(postprocess([raw], config, CLASSES), ["v"], CLASSES)["v"]
    assert [(one.start_s, one.end_s, one.label) for one in found] == [(0.0, 8.0, "run"), (12.0, 20.0, "dive")]


def test_background_clips_lower_a_proposal() -> None:
    bm_map = np.zeros((2, 4, 4))
    bm_map[:, 0, 0] = bm_map[:, 0, 2] = 1.0
    logits = np.array([[0, 0, 5, 0], [0, 0, 5, 0], [0, 0, 5, 9], [0, 0, 5, 9]], float)
    raw = RawPrediction("v", 4.0, np.ones(4), np.ones(4), bm_map, logits)
    config = PostprocessConfig(classification="proposal", classes_per_video=1)
    found = as_results(postprocess([raw], config, CLASSES), ["v"], CLASSES)["v"]
    assert [one.label for one in found[:2]] == ["run", "run"]
    assert found[0].start_s == 0.0
    assert found[1].score < 0.05 * found[0].score


@settings(max_examples=50, deadline=None)
@given(
    rows=st.integers(1, 9),
    cut=st.tuples(st.floats(0, 0.98), st.floats(0.01, 1)).map(lambda p: (p[0], p[0] + p[1] * (1 - p[0]))),
)
def test_pooling_is_the_mean_over_time(rows: int, cut: tuple[float, float]) -> None:
    scores_RK = np.random.Generator(np.random.PCG64(rows)).random((rows, 2))
    ticks = cut[0] + (cut[1] - cut[0]) * (np.arange(20_000) + 0.5) / 20_000
    expected = scores_RK[np.minimum((ticks * rows).astype(int), rows - 1)].mean(axis=0)
    np.testing.assert_allclose(pooled(scores_RK, np.array([cut]))[0], expected, atol=1e-3)


def test_class_scores_drop_the_background_without_spreading_it() -> None:
    raw = believed(VIDEOS[0], clip_rows=4)
    shares = class_scores(raw.class_logits_RK, len(CLASSES))
    assert shares.shape == (4, len(CLASSES))
    assert (shares.sum(axis=1) < 1).all()


def test_counts_are_kept() -> None:
    raw = [believed(video, noise=0.9) for video in VIDEOS]
    config = PostprocessConfig(proposals_per_video=30, detections_per_video=7, classes_per_video=3)
    found = postprocess(raw, config, CLASSES)
    assert np.bincount(found.video_idx).tolist() == [7] * len(VIDEOS)
    assert (np.diff(found.score[found.video_idx == 2]) <= 0).all()


def test_no_videos_give_no_detections() -> None:
    assert postprocess([], PostprocessConfig(), CLASSES).score.size == 0
    assert as_results(postprocess([], PostprocessConfig(), CLASSES), ["v"], CLASSES) == {"v": []}


def test_logits_of_other_classes_are_refused() -> None:
    with pytest.raises(
        DataError, match=f"video {VIDEOS[0].video_id}: class_logits have 3 columns, expected 5"
    ):
        postprocess([believed(VIDEOS[0])], PostprocessConfig(), tuple("abcde"))


@pytest.mark.parametrize(
    "values",
    [
        {"alpha": 0.0},
        {"low": 1.2},
        {"high": -0.1},
        {"boundary_power": -1.0},
        {"class_power": math.inf},
        {"map_regression_power": math.nan},
        {"detections_per_video": 0},
        {"classification": "clip"},
    ],
)
def test_settings_outside_their_range_are_named(values: dict[str, float]) -> None:
    (field,) = values
    with pytest.raises(ValueError, match=f"^{field}: found"):
        PostprocessConfig(**values)


def test_all_bad_settings_are_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)low: found.*alpha: found"):
        PostprocessConfig(low=2.0, alpha=-1.0)
