"""Real prediction files through the front door, scored where their score is published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talaria.data.annotations import load_annotations
from talaria.data.classes import read_classes
from talaria.evaluation.arrays import GroundTruth
from talaria.evaluation.files.thumos_text import CLASS_NUMBERS
from talaria.evaluation.formats import read_predictions, write_predictions
from talaria.evaluation.thumos import thumos_map

HALF = np.array([0.5])


def test_a_published_detector_scores_as_published(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data"
    loaded = load_annotations(
        folder / "annotations/thumos14_evalkit_annotation.zip", None, ends="kept"
    ).dataset
    truth = GroundTruth.of_videos(loaded.videos, loaded.classes)
    table = read_predictions(folder / "predictions/turn_flow_scnn_th14_iou0.5.txt.gz", loaded.classes)
    assert table.score.size == 16565
    assert thumos_map(truth, table.detections(truth), HALF).average_map == pytest.approx(0.255563, abs=1e-6)
    write_predictions(tmp_path / "found.parquet", table)
    again = read_predictions(tmp_path / "found.parquet").detections(truth)
    assert thumos_map(truth, again, HALF).average_map == pytest.approx(0.255563, abs=1e-6)


def test_the_class_numbers_are_those_of_the_kit(shared: Path) -> None:
    classes = load_annotations(
        shared / "data/annotations/thumos14_evalkit_annotation.zip", None
    ).dataset.classes
    assert tuple(CLASS_NUMBERS.values()) == classes


def test_official_samples_are_read(shared: Path) -> None:
    folder = shared / "data" / "predictions"
    table = read_predictions(
        folder / "anet_sample_detection_prediction.json.gz",
        read_classes(shared / "data/annotations/bmn/action_name.csv"),
    )
    assert (len(table.video_ids), table.score.size) == (4926, 7654)
    assert read_predictions(folder / "mmaction2_eval_localization_result.json").score.size == 14
