"""False positives by kind and what each costs: against the oracle, by conservation, and rule by rule."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from scored_lists import DETECTIONS, THRESHOLDS, TRUTHS, detection_table, noisy_lists, truth_table

from reference import error_oracle as oracle
from reference.detection_oracle import Scored, Truth
from reference.golden import Golden
from reference.golden_checks.evaluation import ground_truth
from talaria.errors import DataError
from talaria.evaluation.arrays import Detections
from talaria.evaluation.detection import detection_map
from talaria.evaluation.errors import ErrorAnalysis, analyse_errors
from talaria.evaluation.false_positives import ERRORS, ErrorType, error_types
from talaria.evaluation.formats import read_detections

LOW = np.array([0.05, *THRESHOLDS])
"""The thresholds of the other tests, and one below what counts as background."""


def analysed(truths: list[Truth], detections: list[Scored], thresholds: np.ndarray = LOW) -> ErrorAnalysis:
    truth = truth_table(truths)
    return analyse_errors(
        truth, np.full(len(truth.video_ids), np.nan), detection_table(detections), thresholds
    )


def one_video(
    truths: list[tuple[int, float, float]], found: list[tuple[int, float, float, float]]
) -> list[str]:
    """The kinds at tIoU 0.5 of detections (label, start, end, score) in one video."""
    types = error_types(
        truth_table([(0, *row) for row in truths]),
        detection_table([(0, *row) for row in found]),
        np.array([0.5]),
    )
    return [ErrorType(kind).words for kind in types[0]]


@settings(max_examples=150, deadline=None)
@given(TRUTHS, DETECTIONS)
@example([(0, 0, 0.0, 1.0), (0, 1, 0.0, 1.0)], [(0, 1, 0.0, 1.0, 0.5), (0, 1, 0.0, 1.0, 0.5)])
@example([(0, 0, 1.0, 1.0)], [(0, 1, 2.0, 2.0, 0.5), (-1, 0, 1.0, 1.0, 0.5)])
@example([(0, 0, 0.0, 10.0)], [(0, 1, 0.0, 0.6, 0.5), (0, 1, 0.0, 1.0, 0.5)])
def test_kinds_agree_with_the_oracle(truths: list[Truth], detections: list[Scored]) -> None:
    types = error_types(truth_table(truths), detection_table(detections), LOW)
    found = [[ErrorType(kind).words for kind in row] for row in types]
    assert found == [oracle.kinds(truths, detections, threshold) for threshold in LOW]


@settings(max_examples=60, deadline=None)
@given(TRUTHS, DETECTIONS)
@example([(0, 0, 0.0, 1.0)], [(0, 0, 5.0, 6.0, 0.9)] * 11 + [(0, 0, 0.0, 1.0, 0.5)])
def test_gains_and_profile_agree_with_the_oracle(truths: list[Truth], detections: list[Scored]) -> None:
    wrong, mean = analysed(truths, detections).false_positives, oracle.mean_truths(truths)
    slices = oracle.slices(truths, detections)
    for level, threshold in enumerate(LOW):
        takes = oracle.takers(truths, detections, threshold)
        kinds = oracle.kinds(truths, detections, threshold)
        plain = oracle.mean_ap(truths, detections, takes, None)
        top = oracle.mean_ap(truths, detections, takes, mean, lambda n: slices[n] < 10)
        assert wrong.map_T[level] == pytest.approx(plain, abs=1e-12)
        assert wrong.map_n_T[level] == pytest.approx(top, abs=1e-12)
        for row, kind in enumerate(ERRORS):
            others = {number for number, word in enumerate(kinds) if word != kind.words}
            without = oracle.mean_ap(truths, detections, takes, None, others.__contains__)
            assert wrong.gain_map_ET[row, level] == pytest.approx(without - plain, abs=1e-12)
            high = {number for number in others if slices[number] < 10}
            without = oracle.mean_ap(truths, detections, takes, mean, high.__contains__)
            assert wrong.gain_map_n_ET[row, level] == pytest.approx(without - top, abs=1e-12)
        for kind in ErrorType:
            here = [where for word, where in zip(kinds, slices, strict=True) if word == kind.words]
            assert wrong.counts_TE[level, kind] == len(here)
            assert wrong.profile_TSE[level, :, kind].tolist() == [here.count(s) for s in range(10)]


def test_kinds_partition_and_removal_never_costs() -> None:
    truths, detections = noisy_lists(3, num_videos=3, num_classes=2, num_truths=40, num_detections=400)
    analysis = analysed(truths, detections)
    wrong = analysis.false_positives
    assert (wrong.counts_TE.sum(axis=1) == len(detections)).all()
    assert (wrong.counts_TE[0] > 0).sum() >= 4, "the case is varied enough to say something"
    np.testing.assert_allclose(np.nansum(wrong.profile_shares(), axis=1), 1.0)
    assert (wrong.gain_map_ET >= 0).all()
    assert (wrong.gain_map_n_ET >= 0).all()
    same = detection_map(truth_table(truths), detection_table(detections), LOW)
    np.testing.assert_allclose(wrong.map_T, same.map_at_tiou, atol=1e-12)


def test_without_false_positives_the_precision_is_the_recall() -> None:
    truths, detections = noisy_lists(4, num_videos=3, num_classes=2, num_truths=40, num_detections=200)
    truth, found, at = truth_table(truths), detection_table(detections), np.array([0.5])
    hits = error_types(truth, found, at)[0] == ErrorType.TRUE_POSITIVE
    left = analysed(truths, [row for row, hit in zip(detections, hits, strict=True) if hit], at)
    recall_K = np.bincount(found.label_idx[hits], minlength=2) / truth.truths_per_class
    assert 0 < recall_K.mean() < 1
    assert left.false_positives.map_T[0] == pytest.approx(recall_K.mean())
    assert not left.false_positives.gain_map_ET.any()


def test_the_best_overlap_decides_whatever_its_label() -> None:
    truths = [(0, 0.0, 10.0), (1, 20.0, 30.0)]
    found = [(0, 0.0, 9.0, 0.9), (0, 0.0, 10.0, 0.8), (0, 20.0, 30.0, 0.7), (0, 9.0, 19.0, 0.6)]
    assert one_video(truths, found) == ["true positive", "double detection", "wrong label", "background"]
    found = [(0, 0.0, 2.0, 0.9), (0, 28.0, 30.0, 0.8), (0, 9.0, 22.0, 0.7), (1, 20.0, 25.0, 0.6)]
    assert one_video(truths, found) == ["localisation", "confusion", "background", "true positive"]
    crossing = [(0, 0.0, 10.0), (1, 3.0, 10.0)]
    assert one_video(crossing, [(0, 0.0, 10.0, 0.9), (0, 2.0, 10.0, 0.8)])[1] == "wrong label"


def test_of_equal_overlaps_the_first_truth_decides() -> None:
    found = [(0, 0.0, 10.0, 0.9), (0, 0.0, 10.0, 0.8)]
    assert one_video([(0, 0.0, 10.0), (1, 0.0, 10.0)], found)[1] == "double detection"
    assert one_video([(1, 0.0, 10.0), (0, 0.0, 10.0)], found)[1] == "wrong label"


def test_nothing_found_and_nothing_known_are_numbers_or_null() -> None:
    report = analysed([(0, 0, 0.0, 1.0)], []).as_json()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert (report["average_map"], report["missed"], report["detections"]) == (0.0, 1.0, 0)
    assert report["false_positives"]["profile"][0] == {
        "slice": "1G",
        "detections": 0,
        "shares": {kind.key: None for kind in ErrorType},
    }
    assert report["characteristics"]["coverage"]["unknown"] == 1
    assert report["characteristics"]["coverage"]["buckets"][0]["average_map_n"] is None


def test_a_class_without_truths_is_in_no_slice() -> None:
    wrong = analysed([(0, 0, 0.0, 1.0)], [(0, 1, 0.0, 1.0, 0.9), (0, 0, 0.0, 1.0, 0.8)]).false_positives
    assert wrong.profile_TSE[-1].sum() == 1
    assert wrong.counts_TE[-1].tolist() == [1, 0, 1, 0, 0, 0]
    assert wrong.map_n_T.tolist() == [1.0] * len(LOW)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(DataError, match="none of 3 videos has an annotated segment"):
        analysed([], [])
    with pytest.raises(ValueError, match="label_idx"):
        analysed([(0, 0, 0.0, 1.0)], [(0, 9, 0.0, 1.0, 0.5)])
    with pytest.raises(ValueError, match="tiou_thresholds"):
        analysed([(0, 0, 0.0, 1.0)], [], np.array([0.0]))


def test_the_plain_map_is_the_official_one(shared: Path) -> None:
    golden = Golden(shared / "goldens" / "evaluation")
    case = golden.manifest["cases"]["det_noisy"]
    truth = ground_truth(golden, case)
    found = Detections.of_results(read_detections(golden.folder / case["pred"], truth.classes), truth)
    report = analyse_errors(truth, np.full(len(truth.video_ids), np.nan), found).as_json()
    assert report["average_map"] == pytest.approx(case["average_mAP"], abs=1e-9)
    counts = np.array(list(report["false_positives"]["counts"].values()))
    assert (counts.sum(axis=0) == found.score.size).all()
