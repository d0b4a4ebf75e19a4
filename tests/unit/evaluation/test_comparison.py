"""Comparing two sets of detections: every draw against really copied rows, and what the intervals promise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_lists import (
    DETECTIONS,
    NUM_CLASSES,
    NUM_VIDEOS,
    THRESHOLDS,
    TRUTHS,
    detection_table,
    noisy_lists,
    tied,
    truth_table,
)

from reference.detection_oracle import Scored, Truth, average_precision
from talaria.errors import DataError
from talaria.evaluation.arrays import UNKNOWN, Detections, GroundTruth
from talaria.evaluation.comparison import Comparison, compare
from talaria.evaluation.detection import detection_map
from talaria.evaluation.resampling import WeightedLists, draw_videos

WEIGHTS = st.lists(st.integers(0, 3), min_size=NUM_VIDEOS, max_size=NUM_VIDEOS)


def copied(rows: Sequence[tuple[float, ...]], weights: Sequence[int], num_videos: int) -> list[tuple]:
    """Every row as often as its video counts, each time in another video; those of unknown videos once."""
    copies = []
    for video, *rest in rows:
        numbers = range(1 if video == UNKNOWN else weights[int(video)])
        copies += [(video + number * num_videos if video != UNKNOWN else video, *rest) for number in numbers]
    return copies


def slow_ap(
    truths: Sequence[Truth], rows: Sequence[Scored], weights: Sequence[int], num_videos: int, num_classes: int
) -> np.ndarray:
    more, found = (copied(entries, weights, num_videos) for entries in (truths, rows))
    return np.array([[average_precision(more, found, k, t) for k in range(num_classes)] for t in THRESHOLDS])


@settings(max_examples=200, deadline=None)
@given(TRUTHS, DETECTIONS, WEIGHTS)
def test_weights_are_copies_on_tied_and_degenerate_lists(
    truths: list[Truth], rows: list[Scored], weights: list[int]
) -> None:
    lists = WeightedLists.of(truth_table(truths), detection_table(rows), THRESHOLDS)
    (found,) = lists.precisions(np.array([weights]))
    want = slow_ap(truths, rows, weights, NUM_VIDEOS, NUM_CLASSES)
    np.testing.assert_allclose(found, want, atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_weights_are_copies_on_crowded_lists(seed: int) -> None:
    truths, untied = noisy_lists(seed, num_videos=8, num_classes=3, num_truths=60, num_detections=300)
    draws = np.stack(list(draw_videos(np.ones(8, np.bool_), range(4), seed)))
    for rows in (untied, tied(untied)):
        lists = WeightedLists.of(truth_table(truths, 8, 3), detection_table(rows), THRESHOLDS)
        want = [slow_ap(truths, rows, weights, 8, 3) for weights in draws.tolist()]
        np.testing.assert_allclose(lists.precisions(draws), want, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(TRUTHS, DETECTIONS, DETECTIONS)
def test_measured_values_are_those_of_the_score_and_inside_their_intervals(
    truths: list[Truth], rows: list[Scored], others: list[Scored]
) -> None:
    truth, first, second = truth_table(truths), detection_table(rows), detection_table(others)
    found = compare(truth, first, second, THRESHOLDS, num_resamples=3, seed=0)
    one, two = (detection_map(truth, table, THRESHOLDS) for table in (first, second))
    np.testing.assert_allclose(found.map_at_tiou.first.value, one.map_at_tiou, atol=1e-12)
    np.testing.assert_allclose(found.class_ap.second.value, two.ap_TK.mean(axis=0), atol=1e-12)
    gain = two.average_map - one.average_map
    assert float(found.average_map.difference.value) == pytest.approx(gain, abs=1e-12)
    for part in (found.map_at_tiou.first, found.map_at_tiou.difference, found.average_map.second):
        assert (part.low <= part.value + 1e-12).all()
        assert (part.value <= part.high + 1e-12).all()


def scene(
    seed: int, num_videos: int, *noises_s: float, num_classes: int = 4
) -> tuple[GroundTruth, list[Detections]]:
    """One or more truths a video, and per noise a set that finds them with it, among background."""
    rng = np.random.default_rng(seed)
    video = np.repeat(np.arange(num_videos), rng.integers(1, 4, num_videos))
    label = rng.integers(0, num_classes, num_videos)[video]
    start = rng.random(video.size) * 80
    end = start + 5 + rng.random(video.size) * 15
    names = tuple(map(str, range(num_videos))), tuple(map(str, range(num_classes)))
    truth = GroundTruth(*names, video, label, start, end)
    sets = []
    for noise in noises_s:
        near = np.stack([start, end]) + rng.normal(0, noise, (2, video.size))
        far = rng.random((2, 2 * video.size)) * 100
        times = np.sort(np.concatenate([near, far], axis=1), axis=0)
        score = rng.random(3 * video.size) + (np.arange(3 * video.size) < video.size) * 0.3
        sets.append(Detections(np.tile(video, 3), np.tile(label, 3), *times, score))
    return truth, sets


def numbers(comparison: Comparison) -> str:
    return json.dumps(comparison.as_json(), allow_nan=False)


def test_a_file_does_not_differ_from_itself() -> None:
    truth, (same,) = scene(0, 30, 1.0)
    found = compare(truth, same, same, num_resamples=50, seed=3)
    for pair in (found.average_map, found.map_at_tiou, found.class_ap):
        for values in (pair.difference.value, pair.difference.low, pair.difference.high):
            assert not values.any()
    assert found.second_better == 0.0


def test_a_clearly_better_file_has_an_interval_above_zero() -> None:
    truth, (bad, good) = scene(1, 80, 4.0, 0.5)
    found = compare(truth, bad, good, num_resamples=200, seed=4).average_map.difference
    assert 0 < found.low < found.value < found.high
    turned = compare(truth, good, bad, num_resamples=200, seed=4)
    np.testing.assert_allclose(
        [turned.average_map.difference.low, turned.average_map.difference.high], [-found.high, -found.low]
    )
    assert turned.second_better == 0.0
    assert compare(truth, bad, good, num_resamples=200, seed=4).second_better == 1.0


def test_intervals_lie_around_what_was_measured() -> None:
    truth, sets = scene(2, 60, 2.0, 1.5, num_classes=20)
    found = compare(truth, *sets, num_resamples=300, seed=5)
    for pair in (found.average_map, found.map_at_tiou):
        for estimate in (pair.first, pair.second, pair.difference):
            assert (estimate.low < estimate.value).all()
            assert (estimate.value < estimate.high).all()


def test_intervals_hold_and_are_as_wide_as_samples_differ() -> None:
    """Sixty samples of videos, on which two equally good methods are compared."""
    held, widths, values = 0, [], []
    for seed in range(60):
        truth, sets = scene(100 + seed, 40, 2.0, 2.0)
        found = compare(truth, *sets, np.array([0.5, 0.7]), num_resamples=200, seed=seed).average_map
        held += bool(found.difference.low <= 0 <= found.difference.high)
        widths.append([float(part.high - part.low) for part in (found.first, found.difference)])
        values.append([float(part.value) for part in (found.first, found.difference)])
    assert held >= 50, "57 of 60 should hold 0 at 95 %"
    wanted = 2 * 1.96 * np.std(values, axis=0)
    np.testing.assert_allclose(np.mean(widths, axis=0), wanted, rtol=0.3)


def test_more_confidence_is_a_wider_interval() -> None:
    truth, sets = scene(3, 40, 2.0, 1.5)
    half, most = (
        compare(truth, *sets, np.array([0.5, 0.7]), confidence=share, seed=6, num_resamples=200)
        for share in (0.5, 0.99)
    )
    for inner, outer in (
        (half.average_map.difference, most.average_map.difference),
        (half.map_at_tiou.first, most.map_at_tiou.first),
    ):
        assert (outer.low < inner.low).all()
        assert (inner.high < outer.high).all()


def test_the_seed_alone_decides_the_draws() -> None:
    truth, sets = scene(4, 20, 2.0, 1.5)
    once, again, other = (compare(truth, *sets, num_resamples=20, seed=seed) for seed in (7, 7, 8))
    assert numbers(once) == numbers(again)
    assert once.average_map.difference.low != other.average_map.difference.low
    everywhere = np.ones(5, np.bool_)
    (third,) = draw_videos(everywhere, [3], seed=9)
    np.testing.assert_array_equal(third, list(draw_videos(everywhere, range(6), seed=9))[3])


def test_draws_keep_the_number_of_videos_and_hold_a_truth() -> None:
    has_truth = np.array([False, False, True, False])
    weights = np.stack(list(draw_videos(has_truth, range(200), seed=1)))
    assert (weights.sum(axis=1) == 4).all()
    assert weights[:, 2].min() == 1
    assert weights[:, 0].max() > 1


def test_classes_come_by_how_far_they_moved() -> None:
    truth = truth_table([(0, 0, 0.0, 1.0), (1, 1, 0.0, 1.0), (2, 2, 0.0, 1.0), (2, 2, 5.0, 6.0)], 3, 4)
    right = [(0, 0, 0.0, 1.0, 0.9), (1, 1, 0.0, 1.0, 0.9), (2, 2, 0.0, 1.0, 0.9), (2, 3, 0.0, 1.0, 0.9)]
    found = compare(truth, detection_table(right[:1]), detection_table(right[1:]), num_resamples=30, seed=2)
    assert found.moved_most() == [0, 1, 2]
    assert found.class_ap.difference.value[:3].tolist() == [-1.0, 1.0, 0.5]
    rows = found.as_json()["per_class"]
    assert [(row["label"], row["truths"]) for row in rows] == [("class_0", 1), ("class_1", 1), ("class_2", 2)]
    assert rows[2]["difference_low"] == rows[2]["difference_high"] == 0.5, "one video: nothing to draw from"


def test_an_interval_that_no_draws_make_is_null() -> None:
    truth, sets = scene(5, 10, 2.0, 1.5)
    single = json.loads(numbers(compare(truth, *sets, num_resamples=1, seed=1)))
    assert single["difference_low"] is None
    assert single["map_at_tiou"]["first"]["high"] == [None] * 10


def test_a_class_in_no_two_draws_has_no_interval() -> None:
    truth, sets = scene(5, 10, 2.0, 1.5)
    rare = replace(truth, classes=(*truth.classes, "rare"), label_idx=np.append(truth.label_idx[:-1], 4))
    everywhere, last = np.ones(10, np.bool_), truth.video_idx[-1]
    seed = next(s for s in range(100) if not all(w[last] for w in draw_videos(everywhere, range(2), s)))
    rows = compare(rare, *sets, num_resamples=2, seed=seed).as_json()["per_class"]
    assert [row["difference_low"] for row in rows if row["label"] == "rare"] == [None]


def test_what_cannot_be_compared_is_refused() -> None:
    truth, sets = scene(6, 5, 1.0, 1.0)
    for wrong in ({"num_resamples": 0}, {"confidence": 1.0}, {"seed": -1}):
        with pytest.raises(ValueError, match="expected 1 or more"):
            compare(truth, *sets, **{"seed": 0, **wrong})
    with pytest.raises(DataError, match="none of 3 videos"):
        compare(truth_table([]), detection_table([]), detection_table([]), seed=0)
    with pytest.raises(ValueError, match="tiou_thresholds"):
        compare(truth, *sets, np.array([0.0]), seed=0)
    with pytest.raises(ValueError, match="label_idx"):
        compare(truth, sets[0], detection_table([(0, 9, 0.0, 1.0, 0.5)]), seed=0)
