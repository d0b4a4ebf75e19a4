"""Top-k and mAP of video labels: against nested loops on random and tied lists, and rules by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_lists import LABELS, NUM_CLASSES, NUM_VIDEOS, SCORES, truth_table

from reference import classification_oracle as oracle
from reference.classification_oracle import Label, ScoredLabel
from talaria.errors import DataError
from talaria.evaluation.arrays import UNKNOWN, LabelScores
from talaria.evaluation.classification import classification_scores
from talaria.evaluation.video_labels import VideoLabels
from talaria.records import Annotation, Video

PAIRS = st.sets(st.tuples(st.integers(0, NUM_VIDEOS - 1), LABELS), min_size=1)
PREDICTIONS = st.lists(st.tuples(st.integers(UNKNOWN, NUM_VIDEOS - 1), LABELS, SCORES), max_size=20)


def video_labels(pairs: set[Label], num_classes: int = NUM_CLASSES) -> VideoLabels:
    names, labels = map(str, range(NUM_VIDEOS)), map(str, range(num_classes))
    return VideoLabels(tuple(names), tuple(labels), *np.array(sorted(pairs)).reshape(-1, 2).T)


def label_scores(rows: list[ScoredLabel]) -> LabelScores:
    return LabelScores(*np.array(rows, np.float64).reshape(-1, 3).T)


@settings(max_examples=150, deadline=None)
@given(PAIRS, PREDICTIONS, st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_agrees_with_the_loops(pairs: set[Label], predictions: list[ScoredLabel], top_k: list[int]) -> None:
    result = classification_scores(video_labels(pairs), label_scores(predictions), top_k)
    want = [oracle.average_precision(pairs, predictions, label) for label in range(NUM_CLASSES)]
    np.testing.assert_allclose(result.ap_K, want, atol=1e-12)
    assert result.mean_ap == pytest.approx(np.nanmean(want), abs=1e-12)
    assert result.top_k == tuple(top_k)
    shares = [oracle.shares_found(pairs, predictions, k) for k in top_k]
    np.testing.assert_allclose(result.average_hit_at_k, np.mean(shares, axis=1), atol=1e-12)
    np.testing.assert_allclose(result.hit_at_k, np.mean(np.array(shares) > 0, axis=1), atol=1e-12)


@pytest.mark.parametrize("decimals", [1, 12])
def test_agrees_with_the_loops_on_long_lists(decimals: int) -> None:
    rng = np.random.default_rng(4)
    pairs = {(video, video % 2) for video in range(NUM_VIDEOS)} | {(0, 1)}
    predictions: list[ScoredLabel] = [
        (int(rng.integers(-1, NUM_VIDEOS)), int(rng.integers(2)), round(rng.random(), decimals))
        for _ in range(300)
    ]
    result = classification_scores(video_labels(pairs), label_scores(predictions), (1, 5))
    want = [oracle.average_precision(pairs, predictions, label) for label in range(2)]
    np.testing.assert_allclose(result.ap_K, want, atol=1e-12)
    shares = [oracle.shares_found(pairs, predictions, k) for k in (1, 5)]
    np.testing.assert_allclose(result.average_hit_at_k, np.mean(shares, axis=1), atol=1e-12)


def test_any_label_makes_a_hit_and_the_average_counts_all_labels() -> None:
    truth = video_labels({(0, 0), (0, 1), (1, 0)}, 3)
    predictions = label_scores([(0, 0, 0.9), (0, 2, 0.5), (0, 1, 0.1)])
    result = classification_scores(truth, predictions, top_k=2)
    assert result.hit_at_k.tolist() == [0.5]
    assert result.average_hit_at_k.tolist() == [0.25]
    assert classification_scores(truth, predictions, (1, 3)).average_hit_at_k.tolist() == [0.25, 0.5]


def test_labels_come_from_the_video_and_from_its_segments_each_once() -> None:
    videos = (
        Video("timed", None, "testing", None, (Annotation(0, 1, "run"), Annotation(2, 3, "run"))),
        Video("named", None, "testing", None, (), ("jump", "run")),
        Video("both", None, "testing", None, (Annotation(0, 1, "jump"),), ("run",)),
        Video("neither", None, "testing", None, ()),
    )
    truth = VideoLabels.of_videos(videos, ("jump", "run"))
    assert truth.video_ids == ("timed", "named", "both", "neither")
    assert list(zip(truth.video_idx.tolist(), truth.label_idx.tolist(), strict=True)) == [
        (0, 1),
        (1, 0),
        (1, 1),
        (2, 0),
        (2, 1),
    ]
    found = classification_scores(truth, label_scores([(0, 1, 0.5), (1, 0, 0.4), (3, 1, 0.3)]), 1)
    assert found.hit_at_k.tolist() == [pytest.approx(2 / 3)]
    with pytest.raises(DataError, match="'run' is not among"):
        VideoLabels.of_videos(videos, ("jump",))


def test_segments_judge_as_their_labels_do() -> None:
    rows = [(0, 0, 0.0, 1.0), (0, 0, 2.0, 3.0), (0, 1, 0.0, 1.0), (2, 1, 0.0, 1.0)]
    truth = VideoLabels.of_truth(truth_table(rows))
    assert list(zip(truth.video_idx.tolist(), truth.label_idx.tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (2, 1),
    ]
    assert VideoLabels.of_truth(truth_table([])).video_idx.size == 0


def test_what_cannot_be_scored_is_refused() -> None:
    truth = video_labels({(0, 0)})
    for bad in (0, (), (1, 0)):
        with pytest.raises(ValueError, match="top_k"):
            classification_scores(truth, label_scores([]), bad)
    with pytest.raises(DataError, match="none of 3 videos has a label"):
        classification_scores(video_labels(set()), label_scores([]))
    with pytest.raises(ValueError, match="label_idx"):
        classification_scores(truth, label_scores([(0, 9, 0.5)]))
    with pytest.raises(ValueError, match="twice"):
        VideoLabels(("a",), ("b",), np.zeros(2), np.zeros(2))
