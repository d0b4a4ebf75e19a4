"""Videos classified by the stored logits of their clips."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from talaria_models.classifier.clips import pooled_clip_logits


def softmax(values: NDArray[np.floating]) -> NDArray[np.float64]:
    power = np.exp(values.astype(np.float64) - values.max(axis=-1, keepdims=True))
    return power / power.sum(axis=-1, keepdims=True)


def test_the_mean_is_the_geometric_mean_of_the_clips_probabilities() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 3))
    want = np.prod(softmax(logits), axis=0) ** (1 / 5)
    found = pooled_clip_logits(logits, 3, "mean")
    assert found.dtype == np.float32
    np.testing.assert_allclose(softmax(found), want / want.sum(), rtol=1e-6)
    np.testing.assert_array_equal(pooled_clip_logits(logits, 3, "foreground"), found)


def test_foreground_weighs_clips_by_hand() -> None:
    logits = np.log([[0.6, 0.2, 0.2], [0.1, 0.3, 0.6]])  # foreground 0.8 and 0.4
    want = (0.8 * logits[0, :2] + 0.4 * logits[1, :2]) / 1.2
    np.testing.assert_allclose(pooled_clip_logits(logits, 2, "foreground"), want, rtol=1e-6)
    np.testing.assert_allclose(pooled_clip_logits(logits, 2, "mean"), logits[:, :2].mean(axis=0), rtol=1e-6)


def test_a_short_action_in_much_background_is_found_by_foreground() -> None:
    rng = np.random.default_rng(1)
    hits = {"mean": 0, "foreground": 0}
    for video in range(50):
        logits = rng.normal(size=(60, 5))
        logits[:, 4] += 5.0
        logits[10:12, [video % 4, 4]] += (3.0, -6.0)
        for pooling in hits:
            hits[pooling] += int(pooled_clip_logits(logits, 4, pooling).argmax() == video % 4)  # type: ignore[arg-type]
    assert hits["foreground"] > 40 > hits["mean"]


def test_a_constant_added_to_a_clips_logits_changes_no_probability() -> None:
    logits = np.random.default_rng(2).normal(size=(6, 4))
    moved = logits + np.array([0, 50, -300, 7, 1000, 0])[:, None]
    for found in (pooled_clip_logits(moved, 3), pooled_clip_logits(moved, 3, "mean")):
        assert np.isfinite(found).all()
    np.testing.assert_allclose(
        softmax(pooled_clip_logits(moved, 3)), softmax(pooled_clip_logits(logits, 3)), rtol=1e-3
    )


def test_a_video_of_nothing_but_certain_background_still_has_scores() -> None:
    logits = np.array([[1.0, 0.0, 2000.0], [3.0, 0.0, 2000.0]])
    found = pooled_clip_logits(logits, 2)
    assert np.isfinite(found).all()
    assert found.argmax() == 0


def test_one_clip_is_the_video() -> None:
    np.testing.assert_allclose(pooled_clip_logits(np.array([[1.0, 2.0, 0.5]]), 2), [1.0, 2.0])


@pytest.mark.parametrize("shape", [(0, 3), (4, 2), (4, 5), (3,)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected at least one row of 3 classes"):
        pooled_clip_logits(np.zeros(shape), 3)
