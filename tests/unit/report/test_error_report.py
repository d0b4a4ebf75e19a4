"""An error analysis on the console and as figures: what is shown, and that it is the same every time."""

from __future__ import annotations

import math
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from talaria.errors import ConfigError
from talaria.evaluation.arrays import Detections, GroundTruth
from talaria.evaluation.errors import ErrorAnalysis, analyse_errors
from talaria.log import console
from talaria.report.error_plots import draw_errors
from talaria.report.error_tables import error_tables

STEMS = ("false_positives", "sensitivity", "false_negatives")


def an_analysis(num_detections: int = 5) -> ErrorAnalysis:
    """Detections of all kinds but confusion at tIoU 0.5, or the first few; one video has no duration."""
    truth = GroundTruth(
        ("a", "b"), ("run", "jump"), [0, 0, 1], [0, 1, 0], [0.0, 20.0, 0.0], [10.0, 60.0, 5.0]
    )
    rows = [
        (0, 0, 0.0, 10.0, 0.9),
        (0, 0, 1.0, 10.0, 0.95),
        (0, 0, 20.0, 60.0, 0.85),
        (0, 1, 20.0, 30.0, 0.8),
        (1, 1, 10.0, 20.0, 0.7),
    ]
    found = Detections(*np.array(rows[:num_detections], np.float64).reshape(-1, 5).T)
    return analyse_errors(truth, np.array([80.0, math.nan]), found, np.array([0.5]))


def text_of(analysis: ErrorAnalysis, name: str = "mine") -> str:
    with console.capture() as captured:
        for table in error_tables(analysis, name):
            console.print(table, width=120)
    return captured.get()


def cells(text: str, first: str) -> list[str]:
    """The numbers of the row that begins with a word."""
    (line,) = [line for line in text.splitlines() if re.match(rf"\W*{first}\b", line) and "│" in line]
    return [cell for cell in re.split(r"[│\s]+", line.split(first, 1)[1]) if cell]


def words_in(svg: Path) -> set[str]:
    """The lines of text in a figure, which Matplotlib notes beside their outlines."""
    return set(re.findall(r"<!-- (.*?) -->", svg.read_text("utf-8"), re.DOTALL))


def test_tables_show_kinds_gains_and_buckets() -> None:
    text = text_of(an_analysis())
    assert "mine: detections by kind" in text
    assert cells(text, "true positive") == ["33.33", "20.00"]
    assert cells(text, "double detection")[:2] == ["33.33", "20.00"]
    assert cells(text, "background")[:2] == ["0.00", "20.00"]
    assert cells(text, "all") == ["3", "25.00", "66.67"]
    assert cells(text, "unknown") == ["1"]


def test_tables_of_no_detections_say_none() -> None:
    text = text_of(an_analysis(0))
    assert cells(text, "true positive") == ["none", "none"]
    assert cells(text, "all") == ["3", "0.00", "100.00"]


def test_three_figures_in_two_formats(tmp_path: Path) -> None:
    paths = draw_errors(an_analysis(), tmp_path / "new" / "figures", "mine $1_2$")
    assert paths == [
        tmp_path / "new" / "figures" / f"{stem}.{kind}" for stem in STEMS for kind in ("png", "svg")
    ]
    for path in paths[::2]:
        head = path.read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        assert min(struct.unpack(">II", head[16:24])) > 500
    kinds, scores, misses = (words_in(path) for path in paths[1::2])
    assert {"double detection", "localisation", "10G", "share of detections (%)"} <= kinds
    assert {"length (s)", "coverage (share of the video; 1 unknown)", "all truths: 25.0", "none"} <= scores
    assert {"missed truths (%)", "all truths: 66.7", "XS", "≤ 30", "2–4", "100.0"} <= misses
    assert "mine $1_2$: detections by kind" in kinds, "no formula in a name"


def test_the_same_analysis_gives_the_same_bytes(tmp_path: Path) -> None:
    first = draw_errors(an_analysis(), tmp_path / "first", "mine")
    again = draw_errors(an_analysis(), tmp_path / "again", "mine")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_no_detections_can_be_drawn(tmp_path: Path) -> None:
    paths = draw_errors(an_analysis(0), tmp_path, "x" * 300)
    assert "+0.0" in words_in(paths[1])
    assert all(path.stat().st_size for path in paths)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/false_positives\.png: cannot be written .* another folder"):
        draw_errors(an_analysis(), tmp_path / "file", "mine")


def test_matplotlib_is_loaded_only_to_draw() -> None:
    code = "import sys, talaria.report.error_plots; print('matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
