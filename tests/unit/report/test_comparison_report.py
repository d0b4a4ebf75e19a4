"""A comparison on the console: what is shown, and that names are shown as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO

import numpy as np
from rich.console import Console

from talaria.evaluation.arrays import Detections, GroundTruth
from talaria.evaluation.comparison import Comparison, compare
from talaria.report.comparison_tables import comparison_tables

RIGHT = [(video, video % 2, 0.0, 10.0, 0.9 - video / 100) for video in range(8)]
"""What finds the one truth of every video."""


def a_comparison(first: Sequence[tuple], second: Sequence[tuple], num_resamples: int = 50) -> Comparison:
    """Eight videos with one truth each, of two classes in turn; a third class has no truths."""
    names, classes = tuple("abcdefgh"), ("[b]run", "jump", "swim")
    video = np.arange(8)
    truth = GroundTruth(names, classes, video, video % 2, np.zeros(8), np.full(8, 10.0))
    tables = [Detections(*np.array(rows, np.float64).reshape(-1, 5).T) for rows in (first, second)]
    return compare(truth, *tables, np.array([0.5, 0.9]), num_resamples=num_resamples, seed=1)


def text_of(comparison: Comparison, width: int = 100) -> str:
    page = StringIO()
    for table in comparison_tables(comparison, "old[1].json", "new.json"):
        Console(file=page, width=width).print(table)
    return page.getvalue()


def cells(text: str, first: str) -> list[str]:
    """The cells of the row that begins with some words."""
    (line,) = [line for line in text.splitlines() if re.match(rf"\W*{re.escape(first)}\s*│", line)]
    return [cell.strip() for cell in line.split(first, 1)[1].split("│") if cell.strip()]


def test_scores_differences_and_intervals_are_shown() -> None:
    comparison = a_comparison([row for row in RIGHT if row[1]], RIGHT)
    text = text_of(comparison)
    assert "old[1].json (first) and new.json (second): mAP, in %" in text
    assert cells(text, "average mAP") == ["50.00", "100.00", "+50.00", "+50.00 to +50.00"]
    assert cells(text, "interval") == ["50.00–50.00", "100.00–100.00"]
    assert cells(text, "mAP@0.5") == cells(text, "mAP@0.9") == cells(text, "average mAP")
    assert "95 % intervals from 50 draws of 8 videos" in text
    assert comparison.second_better > 0.9
    assert f"average mAP in {100 * comparison.second_better:.1f} % of them" in re.sub(r"\s+", " ", text)


def test_usual_numbers_fit_eighty_columns() -> None:
    text = text_of(a_comparison(RIGHT[:2], RIGHT[:5]), 80)
    low, high = (float(end) for end in cells(text, "average mAP")[-1].split(" to "))
    assert low < float(cells(text, "average mAP")[2]) == 37.5 < high


def test_only_classes_that_moved_are_listed() -> None:
    text = text_of(a_comparison(RIGHT, [row for row in RIGHT if row[1]]))
    assert cells(text, "[b]run") == ["4", "100.00", "0.00", "-100.00", "-100.00 to -100.00"]
    assert "1 of 2 classes with truths moved" in text
    assert "jump" not in text
    assert "swim" not in text


def test_the_same_file_twice_moves_nothing() -> None:
    text = text_of(a_comparison(RIGHT, RIGHT))
    assert cells(text, "average mAP")[-2:] == ["+0.00", "+0.00 to +0.00"]
    assert "0 of 2 classes with truths moved" in text


def test_a_single_draw_makes_no_interval() -> None:
    assert cells(text_of(a_comparison(RIGHT, RIGHT[:3], 1)), "average mAP")[-1] == "none"
