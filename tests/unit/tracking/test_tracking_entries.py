"""Names and values in the form that MLflow takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from talaria.tracking.entries import (
    batches,
    entry_name,
    metric_rows,
    param_entries,
    rows_of_file,
    tag_entries,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("map@0.50", "map_0.50"), ("a b/c:d-e_f", "a b/c:d-e_f"), ("é(x)", "__x_"), ("n" * 300, "n" * 250)],
)
def test_names_keep_what_is_allowed(name: str, expected: str) -> None:
    assert entry_name(name) == expected


def test_nested_settings_become_dotted_paths() -> None:
    entries = param_entries({"model": {"name": "bmn", "sizes": [1, 2]}, "lr": 0.001, "base": None})
    assert entries == {"model.name": "bmn", "model.sizes": "[1, 2]", "lr": "0.001", "base": "None"}


def test_long_values_are_cut_visibly() -> None:
    assert len(param_entries({"a": "x" * 7000})["a"]) == 6000
    assert tag_entries({"a": "x" * 9000})["a"].endswith(" ... (cut)")
    assert tag_entries({"a": "x" * 8000})["a"] == "x" * 8000


def test_only_numbers_are_metrics() -> None:
    rows = metric_rows({"loss": 1, "flag": True, "note": "x", "inf": float("-inf"), "none": None}, step=4)
    assert rows == [("loss", 4, 1.0), ("inf", 4, pytest.approx(-1.7976931348623157e308))]


def test_a_metrics_file_is_read_up_to_a_line_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "loss": 2.0}\n{"step": 1, "loss": 1.0, "acc": 0.5}\n{"step": 2, "lo')
    assert rows_of_file(path) == [("loss", 0, 2.0), ("loss", 1, 1.0), ("acc", 1, 0.5)]
    assert rows_of_file(tmp_path / "none.jsonl") == []


def test_batches_hold_everything_once() -> None:
    assert [list(some) for some in batches(list(range(5)), 2)] == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []
