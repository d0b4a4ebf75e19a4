"""Scores and misses by length, coverage and instances: against the oracle, and the limits of the buckets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from scored_lists import DETECTIONS, NUM_VIDEOS, THRESHOLDS, TRUTHS, detection_table, truth_table

from reference import error_oracle as oracle
from reference.detection_oracle import Scored, Truth
from talaria.evaluation.normalised import Judged
from talaria.evaluation.sensitivity import (
    ACTIVITYNET_CHARACTERISTICS,
    THUMOS14_CHARACTERISTICS,
    Characteristic,
    Sensitivity,
    analyse_sensitivity,
    characteristic_values,
)

SMALL = (
    Characteristic("length", "s", ("short", "long"), (0.5, math.inf)),
    Characteristic("coverage", "", ("little", "more", "all"), (0.2, 0.4, math.inf)),
    Characteristic("instances", "", ("one", "more"), (1, math.inf)),
)
DURATIONS = np.array([4.0, 5.0, np.nan])


def found_by(truths: list[Truth], detections: list[Scored]) -> Sensitivity:
    judged = Judged.of(truth_table(truths), detection_table(detections), THRESHOLDS)
    return analyse_sensitivity(judged, DURATIONS, SMALL)


def slow_buckets(truths: list[Truth]) -> list[list[set[int]]]:
    """The truths of every bucket of SMALL."""
    buckets: list[list[set[int]]] = [[set(), set()], [set(), set(), set()], [set(), set()]]
    for number, (video, _, start, end) in enumerate(truths):
        buckets[0][int(end - start > 0.5)].add(number)
        share = (end - start) / DURATIONS[video]
        if not math.isnan(share):
            buckets[1][int(share > 0.2) + int(share > 0.4)].add(number)
        buckets[2][int(sum(truth[0] == video for truth in truths) > 1)].add(number)
    return buckets


@settings(max_examples=80, deadline=None)
@given(TRUTHS, DETECTIONS)
@example(
    [(0, 0, 0.0, 0.5), (0, 0, 2.0, 4.0)],
    [(0, 0, 2.0, 3.2, 0.9), (0, 0, 2.0, 4.0, 0.8), (0, 0, 0.0, 0.5, 0.1)],
)
def test_agrees_with_the_oracle(truths: list[Truth], detections: list[Scored]) -> None:
    found, mean = found_by(truths, detections), oracle.mean_truths(truths)
    takes = [oracle.takers(truths, detections, threshold) for threshold in THRESHOLDS]
    missed = [oracle.missed(truths, detections, taken) for taken in takes]
    scores = [oracle.mean_ap(truths, detections, taken, mean) for taken in takes]
    assert found.map_n == pytest.approx(np.mean(scores), abs=1e-12)
    assert found.missed == pytest.approx(np.mean([len(some) for some in missed]) / len(truths), abs=1e-12)
    for wanted, got in zip(slow_buckets(truths), found.by_characteristic, strict=True):
        assert got.num_truths_B.tolist() == [len(members) for members in wanted]
        assert got.num_unknown == len(truths) - sum(len(members) for members in wanted)
        for members, map_n, share in zip(wanted, got.map_n_B, got.missed_B, strict=True):
            away = {n for taken in takes for n, owner in taken.items() if owner not in members}
            scores = [
                oracle.mean_ap(
                    truths, detections, taken, mean, lambda n, away=away: n not in away, members.__contains__
                )
                for taken in takes
            ]
            assert map_n == pytest.approx(np.mean(scores), abs=1e-12, nan_ok=True)
            want = [len(some & members) / len(members) if members else math.nan for some in missed]
            assert share == pytest.approx(np.mean(want), abs=1e-12, nan_ok=True)


def test_a_bucket_of_all_truths_scores_as_they_do() -> None:
    found = found_by([(0, 0, 0.0, 1.0), (1, 1, 0.0, 2.0)], [(0, 0, 0.0, 1.0, 0.9), (1, 1, 0.0, 1.5, 0.8)])
    length = found.by_characteristic[0]
    assert length.num_truths_B.tolist() == [0, 2]
    assert length.map_n_B[1] == found.map_n == pytest.approx((1.0 + 0.75) / 2)
    assert length.missed_B[1] == found.missed


def test_detections_of_other_buckets_are_neither_right_nor_wrong() -> None:
    truths = [(0, 0, 0.0, 0.5), (0, 0, 2.0, 4.0)]
    hits = [(0, 0, 2.0, 4.0, 0.9), (0, 0, 0.0, 0.5, 0.8)]
    assert found_by(truths, hits).by_characteristic[0].map_n_B.tolist() == [1.0, 1.0]
    stray = [(0, 0, 5.0, 6.0, 0.95), *hits]
    assert (found_by(truths, stray).by_characteristic[0].map_n_B < 1.0).all()


def test_normalised_precision_makes_rare_and_common_labels_alike() -> None:
    """One false positive before all hits halves the score of a label with N truths, whatever N of others."""
    truths = [(0, 0, 0.0, 1.0), *[(1, 1, float(n), n + 0.5) for n in range(3)]]
    stray = [(0, 0, 5.0, 6.0, 0.9), (0, 0, 0.0, 1.0, 0.5)]
    mean = 2.0
    assert found_by(truths, stray).map_n == pytest.approx((1 / (1 + 1 / mean)) / 2)


def test_a_truth_found_among_heaps_of_mistakes_counts_as_missed() -> None:
    truths = [(0, 0, 0.0, 1.0)]
    hit, wrong = (0, 0, 0.0, 1.0, 0.1), (0, 0, 5.0, 6.0, 0.9)
    assert found_by(truths, [wrong] * 18 + [hit]).missed == 0.0
    assert found_by(truths, [wrong] * 19 + [hit]).missed == 1.0, "1 in 20 is not above 0.05"


def test_a_bucket_holds_its_upper_end() -> None:
    length, coverage, instances = ACTIVITYNET_CHARACTERISTICS
    values = np.array([0.0, 30.0, 30.1, 60.0, 120.0, 180.0, 180.1, np.nan])
    assert length.bucket_of(values).tolist() == [0, 0, 1, 1, 2, 3, 4, -1]
    assert coverage.bucket_of(np.array([0.2, 0.21, 1.0, 1.2])).tolist() == [0, 1, 4, 4]
    assert instances.bucket_of(np.array([1.0, 2.0, 4.0, 5.0, 8.0, 9.0])).tolist() == [0, 1, 1, 2, 2, 3]
    assert THUMOS14_CHARACTERISTICS[0].ranges() == ("≤ 3", "3–6", "6–12", "12–18", "> 18")
    assert instances.ranges() == ("1", "2–4", "5–8", "> 8")


def test_values_of_every_truth() -> None:
    truth = truth_table([(0, 0, 1.0, 3.0), (0, 1, 0.0, 4.0), (2, 0, 0.0, 1.0)])
    values = characteristic_values(truth, DURATIONS)
    assert values["length"].tolist() == [2.0, 4.0, 1.0]
    np.testing.assert_array_equal(values["coverage"], [0.5, 1.0, np.nan])
    assert values["instances"].tolist() == [2.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("durations", "said"),
    [
        (np.ones(NUM_VIDEOS - 1), "shape"),
        (np.array([1.0, 0.0, 1.0]), "above 0"),
        (np.full(3, np.inf), "finite"),
    ],
)
def test_impossible_durations_are_refused(durations: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        characteristic_values(truth_table([(0, 0, 0.0, 1.0)]), durations)


def test_a_characteristic_nobody_knows_is_refused() -> None:
    judged = Judged.of(truth_table([(0, 0, 0.0, 1.0)]), detection_table([]), THRESHOLDS)
    with pytest.raises(ValueError, match="'mood'"):
        analyse_sensitivity(
            judged, DURATIONS, (Characteristic("mood", "", ("low", "high"), (0.5, math.inf)),)
        )
