"""One weight per classifier before the softmax: oracles, degenerate sets, and who may see which video."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talaria.ensemble.classifiers import cross_fusion, fused_logits, learned_weights, log_loss
from talaria.ensemble.folds import folds_of
from talaria.ensemble.fusion import fuse_logits
from talaria.errors import ConfigError, DataError
from unit.ensemble.classifier_beliefs import classifier_set, noisy_set, softmax

INF = float("inf")


def test_weights_that_made_the_labels_are_found() -> None:
    rng = np.random.default_rng(0)
    truth_M, logits_MVK = np.array([1.2, 0.5, 0.0]), rng.normal(size=(3, 6000, 4)) * 2
    share_VK = softmax(np.tensordot(truth_M, logits_MVK, axes=1))
    label_V = (share_VK.cumsum(axis=1) < rng.random((6000, 1))).sum(axis=1)
    found = learned_weights(classifier_set(logits_MVK, label_V), folds=3)
    assert found.choice == "learned"
    np.testing.assert_allclose(found.weights, truth_M, atol=0.06)


def test_a_model_that_is_noise_gets_next_to_nothing() -> None:
    found = learned_weights(noisy_set([1.0, 1.5, INF], 1500), folds=4)
    good, fair, noise = found.weights
    assert good > fair > 0
    assert noise < 0.03 * good


def test_what_is_learned_carries_over_to_unseen_videos() -> None:
    found = learned_weights(noisy_set([1.0, 1.5, INF], 40), folds=4)
    unseen = noisy_set([1.0, 1.5, INF], 1000, seed=1)
    equal = log_loss(fused_logits(unseen.logits_MVK, [1 / 3] * 3), unseen)
    assert log_loss(fused_logits(unseen.logits_MVK, found.weights), unseen) < 0.5 * equal


@pytest.mark.parametrize("noises", [[1.0], [1.0, 1.0], [0.5, 3.0, INF], [INF, INF], [1.5] * 9])
@pytest.mark.parametrize("num_videos", [4, 9, 60])
def test_never_worse_than_equal_weights(noises: list[float], num_videos: int) -> None:
    for seed in range(3):
        found = learned_weights(noisy_set(noises, num_videos, seed=seed), folds=4)
        assert found.losses[found.choice] <= found.losses["equal"]
        assert np.isfinite(found.weights).all()
        assert min(found.weights) >= 0
        assert sum(found.weights) > 0


@pytest.mark.parametrize("seed", [16, 19, 23])
def test_one_model_alone_must_win_beyond_chance(seed: int) -> None:
    noises = [1.0, 1.2, INF, INF, INF, INF]
    found = learned_weights(noisy_set(noises, 12, seed=seed), folds=4)
    assert found.losses["single"] < found.losses["learned"]
    assert found.choice == "learned"
    unseen = noisy_set(noises, 800, seed=99)
    alone = min(log_loss(one_VK, unseen) for one_VK in unseen.logits_MVK)
    assert log_loss(fused_logits(unseen.logits_MVK, found.weights), unseen) < alone


def test_one_model_alone_is_taken_where_the_others_only_harm() -> None:
    found = learned_weights(noisy_set([0.3] + [INF] * 12, 12), folds=4)
    assert found.choice == "single"
    assert found.weights == (1.0,) + (0.0,) * 12


def test_the_cross_validated_loss_of_equal_weights_is_their_loss() -> None:
    data = noisy_set([1.0, 2.0], 30)
    found = learned_weights(data, folds=5)
    assert found.losses["equal"] == pytest.approx(log_loss(data.logits_MVK.mean(axis=0), data))


def test_models_that_are_alike_keep_equal_shares() -> None:
    for seed in range(5):
        found = learned_weights(noisy_set([1.2] * 4, 24, seed=seed), folds=4)
        shares = np.array(found.weights) / sum(found.weights)
        np.testing.assert_allclose(shares, 0.25, atol=0.06)


def test_one_perfect_model_among_noise_stands_alone_where_videos_are_few() -> None:
    data = noisy_set([0.05, INF, INF, INF], 8)
    found = learned_weights(data, folds=4)
    assert (fused_logits(data.logits_MVK, found.weights).argmax(axis=1) == data.labels.label_idx).all()
    assert found.weights[0] > 5 * max(found.weights[1:])


def test_one_model_keeps_its_ranking() -> None:
    data = noisy_set([1.0], 50)
    (weight,) = learned_weights(data, folds=4).weights
    assert weight > 0
    sure = replace(data, logits_MVK=10 * data.logits_MVK)
    assert learned_weights(sure, folds=4).weights[0] < weight


def test_copies_share_the_weight_of_their_model_and_change_no_fused_logit() -> None:
    data = noisy_set([1.0, 2.0], 80)
    twins = classifier_set(data.logits_MVK[[0, 1, 0, 1]], data.labels.label_idx)
    alone, together = learned_weights(data, folds=4), learned_weights(twins, folds=4)
    assert together.weights[:2] == pytest.approx(together.weights[2:], abs=1e-5)
    np.testing.assert_allclose(
        fused_logits(twins.logits_MVK, together.weights),
        fused_logits(data.logits_MVK, alone.weights),
        atol=1e-3,
    )


def test_fewer_videos_than_models() -> None:
    data = noisy_set([1.0] * 12, 5)
    found = learned_weights(data, folds=5)
    assert np.isfinite(found.weights).all()
    assert max(found.weights) < 4 * min(found.weights)


def test_a_class_without_videos_takes_nothing_from_the_others() -> None:
    data = noisy_set([1.0, 1.5], 60)
    absent = classifier_set(
        np.pad(data.logits_MVK, ((0, 0), (0, 0), (0, 1)), constant_values=-2.0), data.labels.label_idx
    )
    found = learned_weights(absent, folds=4)
    assert found.weights[0] > found.weights[1] > 0
    assert np.isfinite(list(found.losses.values())).all()


def test_models_that_are_always_wrong_still_rank_classes() -> None:
    data = noisy_set([0.3, 0.3], 40)
    wrong = classifier_set(data.logits_MVK, (data.labels.label_idx + 1) % 5)
    found = learned_weights(wrong, folds=4)
    assert found.choice != "learned"
    assert sum(found.weights) == pytest.approx(1.0)


def test_a_model_that_scores_all_classes_alike_gets_nothing() -> None:
    data = noisy_set([1.0], 40)
    mute = classifier_set(
        np.concatenate([data.logits_MVK, np.full_like(data.logits_MVK, 7.0)]), data.labels.label_idx
    )
    found = learned_weights(mute, folds=4)
    assert found.choice == "learned"
    assert found.weights[1] == pytest.approx(0.0, abs=1e-9)
    assert found.losses["learned"] < found.losses["equal"]


def test_models_that_know_nothing_at_all_stay_equal() -> None:
    found = learned_weights(classifier_set(np.zeros((3, 12, 4)), [0, 1, 2, 3] * 3), folds=4)
    assert (found.choice, found.weights) == ("equal", (1 / 3,) * 3)


def test_numbers_added_to_a_videos_logits_and_the_order_of_models_change_nothing() -> None:
    data = noisy_set([1.0, 1.5, 4.0], 60)
    moved = data.logits_MVK[::-1] + 1e5 * np.random.default_rng(1).normal(size=(3, 60, 1))
    found = learned_weights(classifier_set(moved, data.labels.label_idx), folds=4)
    np.testing.assert_allclose(found.weights[::-1], learned_weights(data, folds=4).weights, atol=1e-3)


def test_the_same_numbers_give_the_same_weights() -> None:
    assert learned_weights(noisy_set([1.0, 2.0], 50), folds=4) == learned_weights(
        noisy_set([1.0, 2.0], 50), folds=4
    )


def test_videos_without_a_label_are_fused_but_teach_nothing() -> None:
    data = noisy_set([1.0, 2.0], 40)
    hidden = data.labels.label_idx.copy()
    hidden[30:] = -1
    partly = classifier_set(data.logits_MVK, hidden)
    first = data.within(data.video_ids[:30])
    assert learned_weights(partly, folds=4) == learned_weights(first, folds=4)
    assert cross_fusion(partly, folds=4).logits_VK.shape == (40, 5)


def test_a_fold_learns_nothing_from_its_own_truth() -> None:
    data = noisy_set([1.0, 2.0, INF], 40)
    crossed, part = cross_fusion(data, folds=4), folds_of(data.video_ids, 4)[1]
    own = np.isin(data.video_ids, part)
    other = classifier_set(
        data.logits_MVK, np.where(own, (data.labels.label_idx + 1) % 5, data.labels.label_idx)
    )
    again = cross_fusion(other, folds=4)
    np.testing.assert_array_equal(again.logits_VK[own], crossed.logits_VK[own])
    assert (again.logits_VK[~own] != crossed.logits_VK[~own]).any()
    assert crossed.folds[1].fitted_on == tuple(
        name for name, mine in zip(data.video_ids, own, strict=True) if not mine
    )
    np.testing.assert_array_equal(
        crossed.logits_VK[own], fused_logits(data.logits_MVK[:, own], crossed.folds[1].weights)
    )


def test_fitting_on_a_judged_video_is_refused() -> None:
    data = noisy_set([1.0, 2.0], 10)
    with pytest.raises(ConfigError, match="1 videos are both fitted on and judged, the first is video-0003"):
        learned_weights(data, folds=2, judged=["video-0003"])


@pytest.mark.parametrize(("folds", "found"), [(1, "expected at least 2"), (7, "found 7 for 6 videos")])
def test_folds_that_do_not_fit_the_videos_are_refused(folds: int, found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        learned_weights(noisy_set([1.0], 6), folds=folds)


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(DataError, match=r"none of 3 videos has a label.*data\.fit_subset"):
        learned_weights(classifier_set(np.zeros((2, 3, 4)), [-1, -1, -1]), folds=2)


def test_fused_logits_are_those_of_the_fusion_of_predictions() -> None:
    logits, weights = np.random.default_rng(0).normal(size=(3, 6, 4)), [0.5, 0.2, 0.3]
    np.testing.assert_array_equal(fused_logits(logits, weights), fuse_logits(logits, np.array(weights)))
    for wrong in ([0.5, 0.5], [0.5, 0.6, -0.1], [1.0, float("nan"), 0.0]):
        with pytest.raises(ConfigError, match="for each of 3 classifiers"):
            fused_logits(logits, wrong)
