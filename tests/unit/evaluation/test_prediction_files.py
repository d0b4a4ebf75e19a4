"""The one front door of predictions: every format by its content, as columns that number themselves."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talaria.errors import DataError
from talaria.evaluation.arrays import UNKNOWN, GroundTruth
from talaria.evaluation.files.columns import PredictionTable
from talaria.evaluation.formats import (
    read_detections,
    read_predictions,
    write_detections,
    write_predictions,
)
from talaria.records import Annotation, Detection, Video

RESULTS = {
    "b": (Detection(1.25, 2.0, "HighJump", 0.5), Detection(0.0, 9.5, "Diving", 0.25)),
    "a": (Detection(3.0, 3.0, "HighJump", 0.125),),
}
THUMOS_TEXT = "b 1.25 2 40 0.5\nb 0 9.5 26 0.25\n\na 3.0 3.0 40 .125\n"


def truth(*classes: str) -> GroundTruth:
    videos = [Video(name, None, "validation", None, (Annotation(0, 1, classes[0]),)) for name in ("a", "c")]
    return GroundTruth.of_videos(videos, classes)


def written(folder: Path, kind: str) -> Path:
    """The same predictions in one of the formats, under a name that says nothing."""
    table = PredictionTable.of_results(RESULTS)
    if kind == "parquet":
        write_predictions(folder / "found.parquet", table)
        return (folder / "found.parquet").rename(folder / "found")
    text = (
        THUMOS_TEXT
        if kind.startswith("text")
        else json.dumps(
            {"results": {name: [_entry(one) for one in listed] for name, listed in RESULTS.items()}}
        )
    )
    content = text.encode()
    (folder / "found").write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    return folder / "found"


def _entry(found: Detection) -> dict[str, Any]:
    return {"label": found.label, "score": found.score, "segment": [found.start_s, found.end_s]}


@pytest.mark.parametrize("kind", ["json", "json.gz", "parquet", "text", "text.gz"])
def test_every_format_gives_the_same_columns(tmp_path: Path, kind: str) -> None:
    table = read_predictions(written(tmp_path, kind), {"HighJump", "Diving"})
    assert (table.video_ids, table.labels) == (("b", "a"), ("HighJump", "Diving"))
    assert table.video_idx.tolist() == [0, 0, 1]
    assert table.label_idx.tolist() == [0, 1, 0]
    assert table.start_s.tolist() == [1.25, 0.0, 3.0]
    assert table.end_s.tolist() == [2.0, 9.5, 3.0]
    assert table.score.tolist() == [0.5, 0.25, 0.125]
    assert read_detections(tmp_path / "found") == RESULTS


@pytest.mark.parametrize("kind", ["json", "parquet", "text"])
def test_labels_outside_the_dataset_are_named_in_every_format(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind)
    with pytest.raises(DataError) as caught:
        read_predictions(path, {"HighJump"})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: ")
    assert "video 'b'" in problem
    assert "label 'Diving' is not a class of the dataset" in problem


def test_rows_take_the_numbers_of_a_truth(tmp_path: Path) -> None:
    table = read_predictions(written(tmp_path, "json"))
    found = table.detections(truth("Billiards", "Diving", "HighJump"))
    assert found.video_idx.tolist() == [UNKNOWN, UNKNOWN, 0]
    assert found.label_idx.tolist() == [2, 1, 2]
    assert found.start_s.tolist() == [1.25, 0.0, 3.0]
    with pytest.raises(DataError, match="label 'Diving' is not among the dataset's classes"):
        table.detections(truth("HighJump"))
    assert table.proposals(truth("Walk")).label_idx.tolist() == [0, 0, 0]


def test_rows_of_a_video_need_not_stand_together() -> None:
    table = PredictionTable.of_results(RESULTS)
    order = np.array([2, 0, 1])
    columns = (column[order] for column in (table.video_idx, table.label_idx, table.score, table.start_s))
    mixed = PredictionTable(table.video_ids, table.labels, *columns, table.end_s[order])
    mixed.video_idx[:] = [0, 1, 0]
    assert [len(found) for found in mixed.results().values()] == [2, 1]
    assert mixed.results()["b"] == (RESULTS["a"][0], RESULTS["b"][1])


def test_json_keeps_videos_without_predictions(tmp_path: Path) -> None:
    write_detections(tmp_path / "found.json", {"a": (), "b": RESULTS["b"]})
    assert read_predictions(tmp_path / "found.json").video_ids == ("a", "b")
    write_detections(tmp_path / "found.json", {})
    assert read_predictions(tmp_path / "found.json").score.size == 0
    assert read_detections(tmp_path / "found.json") == {}


def test_a_video_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text('{"results": {"a": [], "b": [], "a": [], "b": [], "c": []}}')
    with pytest.raises(DataError) as caught:
        read_detections(path)
    expected = "is there more than once, expected one list a video"
    assert caught.value.problems == tuple(f"{path}: video {name!r}: {expected}" for name in "ab")
    path.write_text('{"results": {}, "results": {"a": []}}')
    with pytest.raises(DataError, match="results: is there more than once"):
        read_detections(path)


def test_one_odd_entry_does_not_change_how_others_are_read(tmp_path: Path) -> None:
    entries = [{"label": "x", "score": index / 8, "segment": [index, index + 1]} for index in range(3)]
    document = {"results": {"a": entries, "b": entries[1:]}}
    (tmp_path / "found").write_text(json.dumps(document))
    plain = read_predictions(tmp_path / "found")
    document["results"]["a"][0]["segment"] = ["0", " 1.0"]
    (tmp_path / "found").write_text(json.dumps(document))
    odd = read_predictions(tmp_path / "found")
    assert (odd.video_ids, odd.labels) == (plain.video_ids, plain.labels)
    for name in ("video_idx", "label_idx", "score", "start_s", "end_s"):
        assert np.array_equal(getattr(odd, name), getattr(plain, name)), name


def test_other_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "found").write_text("video,label\na,b\n")
    with pytest.raises(DataError, match="is none of the known formats, expected official JSON, Parquet"):
        read_predictions(tmp_path / "found")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a 1 2 40", "line 4: found 4 fields, expected video, start, end, class number and score"),
        ("a 1 2 41 0.5", "line 4, video 'a': class is '41', expected one of 7, 9, 12"),
        ("a 1 2 HighJump 0.5", "class is 'HighJump'"),
        (f"a 1 2 {'9' * 5000} 0.5", "expected one of 7, 9, 12"),
        ("a x 2 40 0.5", "start is 'x', expected a number"),
        ("a 1 2 40 nan", "score is nan, expected a finite number"),
        ("a 1 inf 40 0.5", "expected finite seconds"),
        ("a 3 2 40 0.5", "expected an end at or after the start"),
    ],
)
def test_a_broken_line_of_text_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "found.txt"
    path.write_text(f"a 1 2 40 0.5\n\nb -1 2 40 0.5\n{line}\n")
    with pytest.raises(DataError) as caught:
        read_predictions(path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: line 4")
    assert said in problem
    with pytest.raises(DataError, match="line 3, video 'b': segment is"):
        read_predictions(path, allow_negative=False)
