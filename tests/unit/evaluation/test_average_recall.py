"""AR@AN: against the oracle on random, tied and degenerate lists, and its rules one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scored_lists import DETECTIONS, THRESHOLDS, TRUTHS, detection_table, noisy_lists, tied, truth_table

from reference import proposals_oracle
from reference.detection_oracle import Scored, Truth
from talaria.evaluation.proposals import average_recall


@settings(max_examples=60, deadline=None)
@given(TRUTHS, DETECTIONS, st.sampled_from([None, 1, 2.5, 7, 100]))
def test_agrees_with_the_oracle_on_tied_and_degenerate_lists(
    truths: list[Truth], proposals: list[Scored], max_average: float | None
) -> None:
    assume(proposals)
    result = average_recall(truth_table(truths), detection_table(proposals), THRESHOLDS, max_average)
    try:
        recall, average_number = proposals_oracle.average_recall(
            truths, proposals, THRESHOLDS.tolist(), max_average
        )
    except ZeroDivisionError:  # no video keeps a proposal
        assert not result.recall_TA.any()
        return
    np.testing.assert_allclose(result.recall_TA, recall, atol=1e-12)
    np.testing.assert_allclose(result.average_number, average_number, rtol=1e-12)
    np.testing.assert_allclose(result.ar_at_an, np.mean(recall, axis=0), atol=1e-12)


@pytest.mark.parametrize("are_tied", [False, True])
@pytest.mark.parametrize("max_average", [None, 20, 3])
def test_agrees_with_the_oracle_on_crowded_videos(max_average: float | None, are_tied: bool) -> None:
    truths, proposals = noisy_lists(3, 5, 2, 25, 300)
    proposals = tied(proposals) if are_tied else proposals
    result = average_recall(truth_table(truths, 5), detection_table(proposals), THRESHOLDS, max_average)
    recall, average_number = proposals_oracle.average_recall(
        truths, proposals, THRESHOLDS.tolist(), max_average
    )
    np.testing.assert_allclose(result.recall_TA, recall, atol=1e-12)
    assert 0 < result.auc < 100
    area = np.trapezoid(np.mean(recall, axis=0), average_number)
    assert result.auc == pytest.approx(100 * area / average_number[-1], abs=1e-9)


def test_perfect_first_proposals_recall_everything_from_the_first_point_that_reads_one() -> None:
    truth = truth_table([(video, 0, 0.0, 10.0) for video in range(3)])
    right = [(video, 0, 0.0, 10.0, 0.9) for video in range(3)]
    wrong = [(video, 0, 50.0, 60.0, 0.1) for video in range(3) for _ in range(9)]
    result = average_recall(truth, detection_table(right + wrong), max_average=10)
    assert result.at(1) == 1.0
    assert result.at(0.5) == 0.0
    assert result.average_number[-1] == pytest.approx(10)


def test_an_empty_proposal_on_an_empty_truth_is_a_miss() -> None:
    truth = truth_table([(0, 0, 3.0, 3.0), (0, 0, 5.0, 6.0)])
    proposals = detection_table([(0, 0, 3.0, 3.0, 0.9), (0, 0, 5.0, 6.0, 0.8)])
    assert average_recall(truth, proposals).recall_TA[0, -1] == 0.5


def test_nothing_proposed_recalls_nothing() -> None:
    truth = truth_table([(0, 0, 0.0, 1.0)])
    for max_average in (None, 100):
        result = average_recall(truth, detection_table([]), max_average=max_average)
        assert result.auc == 0.0
        assert not result.ar_at_an.any()
    strangers = average_recall(truth, detection_table([(-1, 0, 0.0, 1.0, 0.5)]))
    assert strangers.auc == 0.0


def test_a_limit_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="max_average is 0"):
        average_recall(truth_table([(0, 0, 0.0, 1.0)]), detection_table([]), max_average=0)
