"""Learned weights on members whose quality is known, and the wall between fitting and judging."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.fitting import cross_fit, fit, judge, without_member
from talaria.ensemble.folds import folds_of
from talaria.ensemble.learning import WAYS
from talaria.ensemble.scoring import FusionSet
from talaria.errors import ConfigError, DataError
from talaria.evaluation.formats import as_written
from unit.ensemble.fusion_sets import FIXED, fixed, fusion_set, learner
from unit.prediction.beliefs import made_truth, made_videos

FIT, JUDGED = fusion_set(made_videos(9, "fit")), fusion_set(made_videos(9, "judged"))


@pytest.mark.parametrize("way", ["performance2", "gradient", "greedy"])
def test_learned_weights_carry_over_to_unseen_videos_and_starve_junk(way: str) -> None:
    fits = fit(FIT, fixed, learner(way, rounds=24), judged=JUDGED.video_ids)
    weights = dict(zip(fits.learned.members, fits.learned.weights, strict=True))
    assert weights["good"] > weights["fair"] > max(weights["junk-1"], weights["junk-2"])
    assert max(weights["junk-1"], weights["junk-2"]) < 0.1
    seen = judge(JUDGED, fits)
    assert seen.learned.average_map > seen.equal.average_map
    assert seen.alone["good"].average_map > seen.alone["junk-1"].average_map
    assert JUDGED.score(seen.detections).average_map == seen.learned.average_map
    np.testing.assert_array_equal(seen.detections.start_s, np.round(seen.detections.start_s, 4))


def test_every_way_is_validated_and_the_best_is_taken() -> None:
    fits = fit(FIT, fixed, learner(None), judged=())
    assert set(fits.choice.validated) == set(WAYS) == set(fits.choice.each)
    assert fits.choice.validated[fits.choice.way] >= max(fits.choice.validated.values()) - 0.002
    assert fits.choice.way not in ("equal", "search")  # half of the members are junk
    for weights in fits.choice.each.values():
        assert sum(weights) == pytest.approx(1)


def test_a_way_that_is_asked_for_is_taken() -> None:
    fits = fit(FIT, fixed, learner("equal"), judged=())
    assert fits.choice.way == "equal"
    assert fits.learned == fits.equal
    assert fits.learned.weights == (0.25,) * 4


def test_fitting_on_a_judged_video_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 videos are both fitted on and judged, the first is fit-03"):
        fit(FIT, fixed, learner(), judged=[*JUDGED.video_ids, "fit-03"])


def test_judging_a_fitted_video_is_refused() -> None:
    fits = fit(FIT, fixed, learner("equal"), judged=())
    with pytest.raises(ConfigError, match=r"9 videos are both.*data\.fit_subset"):
        judge(FIT, fits)


def test_cross_fitted_detections_are_those_of_fits_that_did_not_see_the_video() -> None:
    folds, judgement = cross_fit(FIT, fixed, learner(), folds=3)
    judged = [set(FIT.video_ids) - set(fits.fitted_on) for fits in folds]
    assert sorted(video_id for part in judged for video_id in part) == sorted(FIT.video_ids)
    found = judgement.detections
    for part, fits in zip(judged, folds, strict=True):
        keep = np.array([video_id in part for video_id in FIT.video_ids])
        own = as_written(FIT.detections(fits.learned.weights, fits.learned.config, part))
        mine = found.within(keep)
        order, own_order = np.lexsort((mine.score, mine.video_idx)), np.lexsort((own.score, own.video_idx))
        np.testing.assert_array_equal(mine.score[order], own.score[own_order])
        np.testing.assert_array_equal(mine.video_idx[order], own.video_idx[own_order])
    assert judgement.learned.average_map == FIT.score(found).average_map


def moved(video_ids: tuple[str, ...]) -> FusionSet:
    """FIT with other truths in some videos."""
    videos = tuple(
        replace(video, annotations=tuple(replace(n, start_s=0.0, end_s=1.0) for n in video.annotations))
        if video.video_id in video_ids
        else video
        for video in made_videos(9, "fit")
    )
    return replace(FIT, truth=made_truth(videos))


def test_a_fold_learns_nothing_from_its_own_truth() -> None:
    """Moving the truths of one fold changes no weight of the fit that judges it."""
    first = folds_of(FIT.video_ids, 3)[0]
    before, _ = cross_fit(FIT, fixed, learner(None), folds=3)
    after, _ = cross_fit(moved(first), fixed, learner(None), folds=3)
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_every_alternative_is_tuned_by_its_own_name_on_the_chosen_videos() -> None:
    asked: dict[str, float] = {}

    def tune(name: str, score: Callable[[PostprocessConfig], float]) -> PostprocessConfig:
        asked[name] = score(FIXED)
        return replace(FIXED, alpha=0.41)

    fits = fit(FIT, tune, learner(), judged=(), video_ids=FIT.video_ids[:5], name="part")
    assert list(asked) == [*(f"part-alone-{index}" for index in range(4)), "part-equal", "part-learned"]
    assert asked["part-alone-0"] == FIT.only(0).average_map((1.0,), FIXED, FIT.video_ids[:5])
    assert {one.config.alpha for one in (*fits.alone, fits.equal, fits.learned)} == {0.41}


def test_fitting_twice_gives_the_same() -> None:
    assert fit(FIT, fixed, learner(None), judged=()) == fit(FIT, fixed, learner(None), judged=())


def test_members_with_nothing_in_common_are_fused_by_their_detections() -> None:
    apart, unseen = (fusion_set(made_videos(9, name), common=False) for name in ("fit", "judged"))
    fits = fit(apart, fixed, learner("performance2"), judged=unseen.video_ids)
    assert fits.late is not None
    assert max(fits.learned.weights[2:]) < min(fits.learned.weights[:2])
    seen = judge(unseen, fits)
    assert seen.learned.average_map > seen.equal.average_map
    assert seen.learned.average_map > 0.9 * seen.alone["good"].average_map


def test_what_a_member_adds_is_what_is_lost_without_it() -> None:
    fits = fit(FIT, fixed, learner(), judged=())
    seen = judge(JUDGED, fits)
    lost = {name: seen.learned.average_map - one.average_map for name, one in seen.without.items()}
    assert max(lost, key=lambda name: lost[name]) == "good"
    assert without_member((0.5, 0.3, 0.2), 0) == pytest.approx((0.0, 0.6, 0.4))
    assert without_member((1.0, 0.0, 0.0), 0) == (0.0, 0.5, 0.5)


def test_folds_are_balanced_and_stable() -> None:
    ids = [f"v{index}" for index in range(11)]
    folds = folds_of(ids, 4)
    assert sorted(len(fold) for fold in folds) == [2, 3, 3, 3]
    assert sorted(video_id for fold in folds for video_id in fold) == sorted(ids)
    assert folds_of(ids[::-1], 4) == folds
    with pytest.raises(ConfigError, match=r"ensemble\.folds: found 12 for 11 videos"):
        folds_of(ids, 12)


def test_a_video_without_predictions_counts_as_missed() -> None:
    videos = made_videos(6, "fit")
    whole = fusion_set(videos)
    partly = replace(fusion_set(videos[:3]), truth=made_truth(videos))
    weights = (1.0, 0.0, 0.0, 0.0)
    assert partly.average_map(weights, FIXED) < 0.7 * whole.average_map(weights, FIXED)
    own = [video.video_id for video in videos[:3]]
    assert partly.average_map(weights, FIXED, own) == whole.average_map(weights, FIXED, own)


def test_predictions_of_videos_without_annotations_are_refused() -> None:
    with pytest.raises(DataError, match="predictions of 6 videos have no annotations"):
        replace(fusion_set(made_videos(6, "fit")), truth=made_truth(made_videos(6, "other")))


def test_a_subset_without_predictions_is_refused() -> None:
    with pytest.raises(DataError, match=r"none of 6 annotated videos has predictions.*data\.fit_subset"):
        FusionSet.of(("a",), [], made_truth(made_videos(6, "fit")))
