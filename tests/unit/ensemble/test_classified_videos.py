"""The ensemble of classifiers as a whole: who saw which video, what it is worth, what members take of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from classifier_beliefs import noisy_set, video_labels
from numpy.typing import NDArray

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.classifiers import fused_logits
from talaria.ensemble.classifying import Classified, classified
from talaria.ensemble.folds import folds_of
from talaria.ensemble.pool import pooled
from talaria.ensemble.scoring import FusionSet
from talaria.errors import ConfigError, DataError
from talaria.evaluation.video_labels import VideoLabels
from unit.prediction.beliefs import believed, made_truth, made_videos

NOISES = (1.0, 3.0, np.inf)
DATA = noisy_set(NOISES, 120)
FIT, JUDGED = (DATA.within(part).labels for part in (DATA.video_ids[:60], DATA.video_ids[60:]))
LOGITS = {
    member: dict(zip(DATA.video_ids, rows_VK, strict=True))
    for member, rows_VK in zip(DATA.members, DATA.logits_MVK, strict=True)
}


def stacked(video_ids: tuple[str, ...]) -> NDArray[np.float64]:
    """(M, V, K) logits of some videos."""
    return DATA.within(video_ids).logits_MVK


@cache
def learned() -> Classified:
    """Fitted on one half, judged on the other."""
    return classified(LOGITS, FIT, JUDGED, folds=4)


def test_judged_videos_are_fused_by_what_was_learned_on_others() -> None:
    found = learned()
    fused_VK = fused_logits(stacked(JUDGED.video_ids), found.released.weights)
    for video_id, expected_K in zip(JUDGED.video_ids, fused_VK, strict=True):
        np.testing.assert_array_equal(found.logits[video_id], expected_K)
    right = fused_VK.argmax(axis=1)[JUDGED.video_idx] == JUDGED.label_idx
    assert found.learned_top_1 == pytest.approx(right.mean())
    assert set(found.released.fitted_on) == set(FIT.video_ids)
    assert found.top_1["m0"] > found.top_1["m1"] > found.top_1["m2"]
    assert found.learned_top_1 > found.equal_top_1


def test_no_video_to_fit_on_is_fused_by_weights_that_saw_its_label() -> None:
    first = folds_of(FIT.video_ids, 4)[0]
    moved = np.isin(np.array(FIT.video_ids)[FIT.video_idx], first)
    other = replace(FIT, label_idx=np.where(moved, (FIT.label_idx + 1) % 5, FIT.label_idx))
    before, after = learned(), classified(LOGITS, other, JUDGED, folds=4)
    for video_id in first:
        np.testing.assert_array_equal(before.logits[video_id], after.logits[video_id])
    assert before.released.weights != after.released.weights


def test_one_subset_for_both_is_judged_by_its_cross_fitted_logits() -> None:
    found = classified(LOGITS, FIT, None, folds=4)
    assert set(found.logits) == set(FIT.video_ids)
    best = np.array([found.logits[video_id].argmax() for video_id in FIT.video_ids])
    assert found.learned_top_1 == pytest.approx((best[FIT.video_idx] == FIT.label_idx).mean())
    apart = learned()
    np.testing.assert_array_equal(found.logits[FIT.video_ids[0]], apart.logits[FIT.video_ids[0]])


def test_a_video_that_nothing_classified_is_a_miss_for_all() -> None:
    lost = set(JUDGED.video_ids[:30])
    fewer = {name: {v: k for v, k in rows.items() if v not in lost} for name, rows in LOGITS.items()}
    found, whole = classified(fewer, FIT, JUDGED, folds=4), learned()
    assert lost.isdisjoint(found.logits)
    assert all(found.top_1[name] < whole.top_1[name] for name in DATA.members[:2])
    assert found.learned_top_1 <= 0.5


def test_the_summary_names_every_classifier_with_its_weight() -> None:
    found = learned()
    summary = found.summary
    assert [member["name"] for member in summary["members"]] == ["m0", "m1", "m2"]
    assert tuple(member["weight"] for member in summary["members"]) == found.released.weights
    assert summary["best_top_1"] == max(member["top_1"] for member in summary["members"])
    assert summary["choice"] == min(summary["log_losses"], key=summary["log_losses"].get)


def test_judging_what_was_fitted_on_is_refused() -> None:
    with pytest.raises(ConfigError, match="are both fitted on and judged"):
        classified(LOGITS, FIT, DATA.within(DATA.video_ids[50:]).labels, folds=4)


@pytest.mark.parametrize(("num_videos", "folds"), [(3, 2), (5, 4)])
def test_too_few_videos_to_learn_from_are_told_with_the_setting(num_videos: int, folds: int) -> None:
    few: VideoLabels = DATA.within(DATA.video_ids[:num_videos]).labels
    with pytest.raises(ConfigError, match=rf"ensemble.folds: found {folds} for {num_videos} labelled videos"):
        classified(LOGITS, few, JUDGED, folds=folds)
    assert classified(LOGITS, DATA.within(DATA.video_ids[:6]).labels, JUDGED, folds=folds).released.weights


def test_a_classifier_that_says_nothing_does_no_harm() -> None:
    labels = video_labels([0, 1] * 6, 2)
    exact = {name: 5.0 * np.eye(2)[k % 2] for k, name in enumerate(labels.video_ids)}
    silent = {name: np.zeros(2) for name in labels.video_ids}
    found = classified({"exact": exact, "silent": silent}, labels, None, folds=3)
    assert (found.top_1["exact"], found.learned_top_1) == (1.0, 1.0)


VIDEOS = made_videos(3)


def fusion_set() -> FusionSet:
    """Three videos and two members that classify clips."""
    pools = [
        pooled(
            [
                believed(one, member="a", noise=0.4, clip_rows=5),
                believed(one, member="b", noise=0.4, clip_rows=7),
            ],
            100,
            common=True,
        )
        for one in VIDEOS
    ]
    return FusionSet.of(("a", "b"), pools, made_truth(VIDEOS))


def test_every_member_takes_what_the_classifiers_say() -> None:
    said = {one.video_id: 9.0 * np.eye(3)[index] for index, one in enumerate(VIDEOS)}
    data, config = fusion_set().classified_by(said), PostprocessConfig(classes_per_video=1)
    for one in (data, data.only(0), data.only(1)):
        found = one.detections([1 / len(one.members)] * len(one.members), config)
        np.testing.assert_array_equal(found.label_idx, found.video_idx)
    before, after = (one.detections([0.5, 0.5], config) for one in (fusion_set(), data))
    np.testing.assert_array_equal(before.start_s, after.start_s)


def test_without_an_ensemble_members_keep_their_own_and_a_missing_video_is_told() -> None:
    data = fusion_set()
    assert data.classified_by(None) is data
    with pytest.raises(
        DataError, match=f"2 videos .* were not classified, the first is {VIDEOS[1].video_id}"
    ):
        data.classified_by({VIDEOS[0].video_id: np.zeros(3)})
