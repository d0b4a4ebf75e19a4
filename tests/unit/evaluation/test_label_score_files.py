"""Labels of whole videos in official JSON: round trips, real files, and what bad entries say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from talaria.errors import DataError
from talaria.evaluation.arrays import UNKNOWN, GroundTruth
from talaria.evaluation.files.columns import LabelTable
from talaria.evaluation.formats import read_label_scores, write_label_scores
from talaria.records import Annotation, Video

RESULTS = {"b": [("run", 0.123457), ("jump", 2e-7)], "a": [], "c": [("run", -4.0)]}


@pytest.mark.parametrize("name", ["labels.json", "labels.json.gz"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    write_label_scores(tmp_path / name, LabelTable.of_label_results(RESULTS))
    assert read_label_scores(tmp_path / name, {"run", "jump"}).label_results() == RESULTS


def test_the_layout_is_the_official_one(tmp_path: Path) -> None:
    write_label_scores(tmp_path / "labels.json", LabelTable.of_label_results(RESULTS))
    assert (tmp_path / "labels.json").read_text() == (
        '{"version":"VERSION 1.3","results":{"a":[],"b":[{"label":"run","score":0.123457},'
        '{"label":"jump","score":2e-07}],"c":[{"label":"run","score":-4.0}]},"external_data":{"used":false}}\n'
    )


def test_rows_take_the_numbers_of_a_truth() -> None:
    videos = [Video(name, None, "validation", None, (Annotation(0, 1, "jump"),)) for name in ("c", "b")]
    scores = LabelTable.of_label_results({**RESULTS, "d": [("jump", 1.0)]}).label_scores(
        GroundTruth.of_videos(videos, ("jump", "run"))
    )
    assert scores.video_idx.tolist() == [1, 1, 0, UNKNOWN]
    assert scores.label_idx.tolist() == [1, 0, 1, 0]
    with pytest.raises(DataError, match="label 'run' is not among"):
        LabelTable.of_label_results(RESULTS).label_scores(GroundTruth.of_videos(videos, ("jump",)))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"label": "run", "score": float("nan")}, "score is nan, expected a finite number"),
        ({"label": "run", "score": "1"}, 'score is "1", expected a finite number'),
        ({"label": "run"}, "score is missing"),
        ({"label": "swim", "score": 1}, "label 'swim' is not a class of the dataset"),
        ({"label": 133, "score": 1}, "label is 133, expected a class name"),
        ("run", 'found "run", expected an object with label and score'),
    ],
)
def test_a_bad_entry_is_named(tmp_path: Path, entry: Any, said: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"results": {"v": [{"label": "run", "score": 1}, entry]}}))
    with pytest.raises(DataError) as caught:
        read_label_scores(path, {"run"})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: video 'v', entry 1: ")
    assert said in problem


def test_a_video_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text('{"results": {"a": [], "a": []}}')
    with pytest.raises(DataError, match="video 'a': is there more than once"):
        read_label_scores(path)


def test_a_bad_score_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="video 'a', row 1: score is inf"):
        write_label_scores(
            tmp_path / "labels.json",
            LabelTable.of_label_results({"a": [("run", 1.0), ("run", float("inf"))]}),
        )
    assert not list(tmp_path.iterdir())


def test_the_official_sample_is_read(shared: Path) -> None:
    folder = shared / "data" / "predictions"
    table = read_label_scores(folder / "anet_sample_classification_prediction.json.gz")
    assert (len(table.video_ids), len(table.labels), table.score.size) == (4926, 200, 4933)
