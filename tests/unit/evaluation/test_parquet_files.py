"""Parquet in and out: exact round trips, and what bad columns and rows say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talaria.errors import DataError
from talaria.evaluation.files.columns import LabelTable, PredictionTable
from talaria.evaluation.formats import (
    read_label_scores,
    read_predictions,
    write_label_scores,
    write_predictions,
)
from talaria.records import Detection

GOOD: dict[str, list[Any]] = {
    "video_id": ["a", "b", "a"],
    "label": ["run", "run", "jump"],
    "start_s": [0.0, 1.0, 2.0],
    "end_s": [1.0, 2.0, 3.0],
    "score": [0.5, 0.25, 0.75],
}
SECONDS = st.floats(0, 1e6)
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
ROWS = st.lists(st.tuples(TEXT, TEXT, SECONDS, SECONDS, st.floats(-1e9, 1e9)), max_size=20)


def parquet(folder: Path, **changes: Any) -> Path:
    columns = {name: column for name, column in {**GOOD, **changes}.items() if column is not None}
    pq.write_table(pa.table(columns), folder / "found.parquet")
    return folder / "found.parquet"


def problems(path: Path, **options: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        read_predictions(path, {"run", "jump"}, **options)
    assert all(problem.startswith(f"{path}: ") for problem in caught.value.problems)
    return caught.value.problems


@settings(max_examples=40, deadline=None)
@given(rows=ROWS)
def test_what_is_written_is_read_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any]
) -> None:
    results: dict[str, list[Detection]] = {}
    for video_id, label, one_s, other_s, score in rows:
        found = Detection(min(one_s, other_s), max(one_s, other_s), label, score)
        results.setdefault(video_id, []).append(found)
    path = tmp_path_factory.mktemp("round") / "found.parquet"
    write_predictions(path, PredictionTable.of_results(results))
    assert read_predictions(path).results() == {name: tuple(listed) for name, listed in results.items()}
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_rows_keep_their_order_though_videos_are_mixed(tmp_path: Path) -> None:
    table = read_predictions(parquet(tmp_path))
    assert (table.video_ids, table.video_idx.tolist()) == (("a", "b"), [0, 1, 0])
    assert table.score.tolist() == [0.5, 0.25, 0.75]


@pytest.mark.parametrize(
    "changes",
    [
        {"score": np.array([0.5, 0.25, 0.75], np.float32), "start_s": [0, 1, 2]},
        {"label": pa.array(GOOD["label"]).dictionary_encode(), "more": [1, 2, 3]},
        {"video_id": pa.array(GOOD["video_id"], pa.large_string())},
    ],
)
def test_other_widths_and_further_columns_are_read(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert (
        read_predictions(parquet(tmp_path, **changes)).results()
        == read_predictions(parquet(tmp_path)).results()
    )


def test_proposals_need_no_label(tmp_path: Path) -> None:
    table = read_predictions(parquet(tmp_path, label=None), label_if_absent="action")
    assert (table.labels, table.label_idx.tolist()) == (("action",), [0, 0, 0])
    table = read_predictions(parquet(tmp_path, label=["run", None, "run"]), label_if_absent="action")
    assert (table.labels, table.label_idx.tolist()) == (("run", "action"), [0, 1, 0])
    assert (
        "has no column label, expected video_id, label, start_s, end_s, score"
        in problems(parquet(tmp_path, label=None))[0]
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"score": [0.5, 0.25, float("nan")]}, "video 'a', row 2: score is nan, expected a finite number"),
        ({"score": [0.5, float("-inf"), 0.75]}, "video 'b', row 1: score is -inf"),
        ({"score": [0.5, None, 0.75]}, "video 'b', row 1: score is missing, expected a finite number"),
        ({"score": ["0.5", "1", "2"]}, "column score: holds string, expected numbers"),
        ({"score": [True, True, False]}, "column score: holds bool, expected numbers"),
        ({"score": None}, "has no column score"),
        ({"start_s": [0.0, 5.0, 2.0]}, "row 1: segment is [5.0, 2.0], expected an end at or after"),
        ({"end_s": [1.0, float("inf"), 3.0]}, "row 1: segment is [1.0, inf], expected finite seconds"),
        ({"start_s": [0.0, None, 2.0]}, "row 1: start_s is missing"),
        ({"label": ["run", "swim", "jump"]}, "row 1: label 'swim' is not a class of the dataset"),
        ({"label": ["run", None, "jump"]}, "row 1: label is missing, expected a name"),
        ({"label": [1, 2, 3]}, "column label: holds int64, expected text"),
        ({"video_id": ["a", None, "a"]}, "row 1: video_id is missing"),
    ],
)
def test_a_bad_column_or_row_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    (problem,) = problems(parquet(tmp_path, **changes))
    assert said in problem


def test_negative_times_are_read_unless_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, start_s=[-1.0, 1.0, 2.0])
    assert read_predictions(path).start_s.tolist() == [-1.0, 1.0, 2.0]
    assert "row 0: segment is [-1.0, 1.0], expected a start" in problems(path, allow_negative=False)[0]


def test_all_problems_come_at_once_up_to_twenty(tmp_path: Path) -> None:
    many = {name: column * 10 for name, column in GOOD.items()} | {"score": [float("nan")] * 30}
    found = problems(parquet(tmp_path, **many))
    assert len(found) == 21
    assert found[-1].endswith("10 more problems")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = parquet(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    assert "cannot be read" in problems(path)[0]


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = parquet(tmp_path)
    before = path.read_bytes()
    table = PredictionTable.of_results({"v": [Detection(2.0, 1.0, "run", 0.5), Detection(-1, 1, "run", 0.5)]})
    with pytest.raises(DataError) as caught:
        write_predictions(path, table)
    assert len(caught.value.problems) == 2
    assert path.read_bytes() == before


def test_labels_of_videos_round_trip(tmp_path: Path) -> None:
    results = {"b": [("run", 0.1234567891), ("jump", -3.0)], "a": [("run", 1.0)]}
    write_label_scores(tmp_path / "labels.parquet", LabelTable.of_label_results(results))
    table = read_label_scores(tmp_path / "labels.parquet", {"run", "jump"})
    assert table.label_results() == results
    with pytest.raises(DataError, match="row 1: label 'jump' is not a class"):
        read_label_scores(tmp_path / "labels.parquet", {"run"})
    with pytest.raises(DataError, match="has no column start_s, end_s"):
        read_predictions(tmp_path / "labels.parquet")
