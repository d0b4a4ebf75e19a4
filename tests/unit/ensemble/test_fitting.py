"""Learned weights on members whose quality is known, and the wall between fitting and judging."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.fitting import bagged, cross_fit, fit, folds_of, judge
from talaria.ensemble.scoring import FusionSet
from talaria.errors import ConfigError, DataError
from talaria.prediction.stores import RawMeta, RawStore, write_raw
from talaria.records import Video
from unit.prediction.beliefs import CLASSES, believed, made_truth, made_videos

NOISES = {"good": 0.5, "fair": 0.7, "junk-1": 1.0, "junk-2": 1.0}
FIXED = PostprocessConfig(boundary_power=0, proposals_per_video=80, detections_per_video=40)


def fixed(name: str, score: Callable[[PostprocessConfig], float]) -> PostprocessConfig:
    """Post-processing that is not tuned at all."""
    del name, score
    return FIXED


def fusion_set(videos: tuple[Video, ...]) -> FusionSet:
    predictions = tuple(
        tuple(believed(video, size=16, noise=noise, member=name) for name, noise in NOISES.items())
        for video in videos
    )
    return FusionSet(tuple(NOISES), predictions, made_truth(videos))


FIT, JUDGED = fusion_set(made_videos(9, "fit")), fusion_set(made_videos(9, "judged"))


def test_learned_weights_carry_over_to_unseen_videos_and_starve_junk() -> None:
    fits = fit(FIT, fixed, rounds=24, judged=JUDGED.video_ids)
    weights = dict(zip(fits.learned.members, fits.learned.weights, strict=True))
    assert weights["good"] > weights["fair"] > max(weights["junk-1"], weights["junk-2"])
    assert max(weights["junk-1"], weights["junk-2"]) < 0.1
    seen = judge(JUDGED, fits)
    assert seen.learned.average_map > seen.equal.average_map
    assert seen.alone["good"].average_map > seen.alone["junk-1"].average_map
    assert JUDGED.score(seen.detections).average_map == seen.learned.average_map


def test_fitting_on_a_judged_video_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 videos are both fitted on and judged, the first is fit-03"):
        fit(FIT, fixed, rounds=1, judged=[*JUDGED.video_ids, "fit-03"])


def test_judging_a_fitted_video_is_refused() -> None:
    fits = fit(FIT, fixed, rounds=1, judged=())
    with pytest.raises(ConfigError, match=r"9 videos are both.*data\.fit_subset"):
        judge(FIT, fits)


def test_cross_fitted_detections_are_those_of_fits_that_did_not_see_the_video() -> None:
    crossed = cross_fit(FIT, fixed, folds=3, rounds=6)
    judged = [set(FIT.video_ids) - set(fits.fitted_on) for fits in crossed.folds]
    assert sorted(video_id for part in judged for video_id in part) == sorted(FIT.video_ids)
    found = crossed.judgement.detections
    for part, fits in zip(judged, crossed.folds, strict=True):
        keep = np.array([video_id in part for video_id in FIT.video_ids])
        own = FIT.detections(fits.learned.weights, fits.learned.config, part)
        mine = found.within(keep)
        order, own_order = np.lexsort((mine.score, mine.video_idx)), np.lexsort((own.score, own.video_idx))
        np.testing.assert_array_equal(mine.score[order], own.score[own_order])
        np.testing.assert_array_equal(mine.video_idx[order], own.video_idx[own_order])
    assert crossed.judgement.learned.average_map == FIT.score(found).average_map


def test_a_fold_learns_nothing_from_its_own_truth() -> None:
    """Moving the truths of one fold changes no weight of the fit that judges it."""
    first = folds_of(FIT.video_ids, 3)[0]
    moved = tuple(
        replace(video, annotations=tuple(replace(n, start_s=0.0, end_s=1.0) for n in video.annotations))
        if video.video_id in first
        else video
        for video in made_videos(9, "fit")
    )
    before = cross_fit(FIT, fixed, folds=3, rounds=6).folds
    after = cross_fit(replace(FIT, truth=made_truth(moved)), fixed, folds=3, rounds=6).folds
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_every_alternative_is_tuned_by_its_own_name_on_the_chosen_videos() -> None:
    asked: dict[str, float] = {}

    def tune(name: str, score: Callable[[PostprocessConfig], float]) -> PostprocessConfig:
        asked[name] = score(FIXED)
        return replace(FIXED, alpha=0.3)

    fits = fit(FIT, tune, rounds=2, judged=(), video_ids=FIT.video_ids[:5], name="part")
    assert list(asked) == ["part-alone-0", "part-alone-1", "part-alone-2", "part-alone-3", "part-equal"]
    assert asked["part-alone-0"] == FIT.only(0).average_map((1.0,), FIXED, FIT.video_ids[:5])
    assert {one.config.alpha for one in (*fits.alone, fits.equal, fits.learned)} == {0.3}


def test_fitting_twice_gives_the_same() -> None:
    assert fit(FIT, fixed, rounds=5, judged=()) == fit(FIT, fixed, rounds=5, judged=())


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
    partly = replace(whole, predictions=whole.predictions[:3])
    weights = (1.0, 0.0, 0.0, 0.0)
    assert partly.average_map(weights, FIXED) < 0.7 * whole.average_map(weights, FIXED)
    own = [video.video_id for video in videos[:3]]
    assert partly.average_map(weights, FIXED, own) == whole.average_map(weights, FIXED, own)


def test_predictions_of_videos_without_annotations_are_refused() -> None:
    with pytest.raises(DataError, match="predictions of 6 videos have no annotations"):
        replace(fusion_set(made_videos(6, "fit")), truth=made_truth(made_videos(6, "other")))


def test_a_set_is_read_from_stores_for_the_videos_of_the_truth(tmp_path: Path) -> None:
    videos = made_videos(6, "fit")
    ids = tuple(video.video_id for video in videos)
    stores = {}
    for name, noise in NOISES.items():
        rows = [believed(video, size=16, noise=noise, member=name) for video in videos]
        write_raw(tmp_path / name / "a.parquet", rows, RawMeta(name, "d", "val", ids, CLASSES, "decoded"))
        stores[name] = RawStore(tmp_path / name)
    half = FusionSet.read(stores, made_truth(videos[2:5]))
    assert half.members == tuple(NOISES)
    assert [listed[0].video_id for listed in half.predictions] == list(ids[2:5])
    weights = (0.4, 0.3, 0.2, 0.1)
    expected = replace(fusion_set(videos[2:5]))
    assert half.average_map(weights, FIXED) == pytest.approx(expected.average_map(weights, FIXED), abs=0.02)


def test_bagged_weights_are_the_mean_of_the_folds_and_still_starve_junk() -> None:
    crossed = cross_fit(FIT, fixed, folds=3, rounds=12)
    fits = bagged(FIT, fit(FIT, fixed, rounds=12, judged=()), crossed)
    expected = np.mean([fold.learned.weights for fold in crossed.folds], axis=0)
    np.testing.assert_allclose(fits.learned.weights, expected, atol=1e-12)
    assert sum(fits.learned.weights) == pytest.approx(1)
    assert max(fits.learned.weights[2:]) < min(fits.learned.weights[:2])
    assert fits.learned.average_map == FIT.average_map(fits.learned.weights, FIXED)
