"""Logits of several classifiers brought together with the labels of their videos."""

from __future__ import annotations

import numpy as np
import pytest

from talaria.ensemble.classifier_set import ClassifierSet
from talaria.errors import DataError
from talaria.evaluation.video_labels import VideoLabels

LABELS = VideoLabels(
    ("a", "b", "c", "d"), ("run", "jump", "swim"), np.array([3, 0, 2, 0]), np.array([1, 0, 2, 1])
)


def row(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_videos_come_in_the_order_of_the_labels_whatever_the_order_of_the_models_rows() -> None:
    flat = {"d": row(4, 0, 0), "a": row(1, 0, 0), "elsewhere": row(9, 9, 9), "c": row(3, 0, 0)}
    data = ClassifierSet.of({"pool": flat, "clips": dict(sorted(flat.items()))}, LABELS)
    assert (data.members, data.video_ids) == (("pool", "clips"), ("a", "c", "d"))
    assert data.logits_MVK[:, :, 0].tolist() == [[1, 3, 4]] * 2
    np.testing.assert_array_equal(data.targets, [[0.5, 0.5, 0], [0, 0, 1], [0, 1, 0]])


def test_some_videos_keep_their_own_labels() -> None:
    rows = {name: row(index, 0, 0) for index, name in enumerate("abcd")}
    part = ClassifierSet.of({"pool": rows}, LABELS).within(["d", "b"])
    assert part.video_ids == ("b", "d")
    assert part.logits_MVK[0, :, 0].tolist() == [1, 3]
    np.testing.assert_array_equal(part.targets, [[0, 0, 0], [0, 1, 0]])
    assert part.labelled().video_ids == ("d",)
    with pytest.raises(DataError, match=r"none of 1 videos has a label"):
        part.within(["b"]).labelled()


def test_everything_that_is_wrong_is_said_at_once() -> None:
    good = {name: row(1, 2, 3) for name in "abc"}
    with pytest.raises(DataError) as caught:
        ClassifierSet.of({"good": good, "bad": {"a": row(1, 2, 3, 4), "b": row(1, np.nan, 0)}}, LABELS)
    assert caught.value.problems == (
        "classifier bad: video a: logits of shape (4,), expected 3 classes without background",
        "classifier bad: video b: a logit that is not finite",
        "classifier bad: video c: no logits, but another classifier has some; predict it again",
    )


def test_no_more_than_twenty_problems_are_shown() -> None:
    ids = tuple(f"v{index}" for index in range(50))
    labels = VideoLabels(ids, ("run",), np.arange(50), np.zeros(50, np.int64))
    with pytest.raises(DataError) as caught:
        ClassifierSet.of({"bad": dict.fromkeys(ids, row(1, 2))}, labels)
    assert len(caught.value.problems) == 20


@pytest.mark.parametrize("logits", [{}, {"pool": {}}, {"pool": {"elsewhere": row(1, 2, 3)}}])
def test_no_classified_video_is_an_error(logits: dict[str, dict[str, np.ndarray]]) -> None:
    with pytest.raises(DataError, match="none of 4 videos was classified"):
        ClassifierSet.of(logits, LABELS)
