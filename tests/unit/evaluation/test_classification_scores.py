"""Top-k and mAP of video labels: against nested loops on random and tied lists, and rules by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_lists import DETECTIONS, NUM_CLASSES, TRUTHS, detection_table, truth_table

from reference.detection_oracle import Scored, Truth, best_first, interpolated_area
from talaria.evaluation.arrays import LabelScores
from talaria.evaluation.classification import classification_scores


def slow_ap(truths: list[Truth], predictions: list[Scored], label: int) -> float:
    videos = {truth[0] for truth in truths if truth[1] == label}
    mine = [prediction for prediction in predictions if prediction[1] == label]
    seen: set[int] = set()
    hits = []
    for number in best_first([prediction[4] for prediction in mine]):
        video = mine[number][0]
        hits.append(video in videos and video not in seen)
        seen.add(video)
    return interpolated_area(hits, len(videos)) if videos else math.nan


def slow_shares(truths: list[Truth], predictions: list[Scored], top_k: int) -> list[float]:
    shares = []
    for video in sorted({truth[0] for truth in truths}):
        mine = [prediction for prediction in predictions if prediction[0] == video]
        ranked = [mine[number][1] for number in best_first([prediction[4] for prediction in mine])]
        labels = {truth[1] for truth in truths if truth[0] == video}
        shares.append(sum(label in ranked[:top_k] for label in labels) / len(labels))
    return shares


def label_scores(rows: list[Scored]) -> LabelScores:
    table = detection_table(rows)
    return LabelScores(table.video_idx, table.label_idx, table.score)


@settings(max_examples=150, deadline=None)
@given(TRUTHS, DETECTIONS, st.integers(1, 3))
def test_agrees_with_the_loops(truths: list[Truth], predictions: list[Scored], top_k: int) -> None:
    result = classification_scores(truth_table(truths), label_scores(predictions), top_k)
    want = [slow_ap(truths, predictions, label) for label in range(NUM_CLASSES)]
    shares = slow_shares(truths, predictions, top_k)
    np.testing.assert_allclose(result.ap_K, want, atol=1e-12)
    assert result.mean_ap == pytest.approx(np.nanmean(want), abs=1e-12)
    assert result.average_hit_at_k == pytest.approx(np.mean(shares), abs=1e-12)
    assert result.hit_at_k == pytest.approx(np.mean([share > 0 for share in shares]), abs=1e-12)


def test_any_label_makes_a_hit_and_the_average_counts_all_labels() -> None:
    truth = truth_table([(0, 0, 0.0, 1.0), (0, 1, 2.0, 3.0), (1, 0, 0.0, 1.0)], 2, 3)
    rows = [(0, 0, 0.0, 0.0, 0.9), (0, 2, 0.0, 0.0, 0.5), (0, 1, 0.0, 0.0, 0.1)]
    result = classification_scores(truth, label_scores(rows), top_k=2)
    assert result.hit_at_k == 0.5
    assert result.average_hit_at_k == 0.25
    with pytest.raises(ValueError, match="top_k"):
        classification_scores(truth, label_scores(rows), top_k=0)
