"""Published scores of UntrimmedNet on the THUMOS14 test videos, alone and beside a model that is noise."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from talaria.data.annotations import load_annotations
from talaria.ensemble.classifier_set import ClassifierSet
from talaria.ensemble.classifiers import cross_fusion, learned_weights
from talaria.evaluation.files.thumos_text import CLASS_NUMBERS
from talaria.evaluation.video_labels import VideoLabels

TOP1 = 0.9198
"""Of the published scores, restricted to the 20 classes."""


def top1(logits_VK: NDArray[np.floating], data: ClassifierSet) -> float:
    best_V = logits_VK.argmax(axis=1)
    return float((data.targets[np.arange(len(best_V)), best_V] > 0).mean())


@pytest.fixture(scope="module")
def scores(shared: Path) -> tuple[dict[str, NDArray[np.floating]], VideoLabels]:
    """Log-scores (20,) of each labelled test video, and its labels."""
    dataset = load_annotations(shared / "data/annotations/thumos14_evalkit_annotation.zip", None).dataset
    labels = VideoLabels.of_videos([one for one in dataset.videos if one.annotations], dataset.classes)
    packed = gzip.decompress((shared / "data/predictions/uNet_test.npy.gz").read_bytes())
    columns = [number - 1 for number in CLASS_NUMBERS]
    log_scores = np.log(np.load(io.BytesIO(packed))[:, columns] + 1e-6)
    return {name: log_scores[int(name[-7:]) - 1] for name in labels.video_ids}, labels


def test_alone_the_model_ranks_as_published(
    scores: tuple[dict[str, NDArray[np.floating]], VideoLabels],
) -> None:
    data = ClassifierSet.of({"untrimmednet": scores[0]}, scores[1])
    crossed = cross_fusion(data, folds=4)
    assert len(data.video_ids) == 212
    assert top1(data.logits_MVK[0], data) == pytest.approx(TOP1, abs=1e-4)
    assert top1(crossed.logits_VK, data) == top1(data.logits_MVK[0], data)


def test_beside_noise_equal_weights_lose_and_learned_ones_do_not(
    scores: tuple[dict[str, NDArray[np.floating]], VideoLabels],
) -> None:
    rng = np.random.default_rng(0)
    noise = {name: 2 * rng.normal(size=20) for name in scores[0]}
    data = ClassifierSet.of({"untrimmednet": scores[0], "noise": noise}, scores[1])
    found = learned_weights(data, folds=4)
    assert found.losses["learned"] < found.losses["single"] < found.losses["equal"]
    assert top1(data.logits_MVK.mean(axis=0), data) < 0.8
    assert top1(cross_fusion(data, folds=4).logits_VK, data) > TOP1 - 0.01
