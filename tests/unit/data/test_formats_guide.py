"""The guide to file formats shows what is true: every example in it is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from talaria.data.annotations import load_annotations
from talaria.evaluation.formats import read_label_scores, read_predictions

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "formats.md"
LABELS_ONLY = ("Labels of whole videos", "BMN")


def examples(part: str) -> list[tuple[str, str]]:
    """(section, file) of every example below one of the guide's main headings."""
    text = re.split(r"^# ", GUIDE.read_text("utf-8"), flags=re.MULTILINE)
    (chapter,) = [chapter for chapter in text if chapter.startswith(part)]
    found = []
    for section in chapter.split("\n## ")[1:]:
        files = re.findall(r"^```(?:json|csv|text)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        found += [(section.partition("\n")[0], file) for file in files]
    return found


@pytest.mark.parametrize(("section", "file"), examples("Annotations"))
def test_an_example_of_annotations_is_read(tmp_path: Path, section: str, file: str) -> None:
    path = tmp_path / "example"
    if section == "THUMOS14" and not file.startswith("{"):
        path.mkdir()
        (path / "HighJump_test.txt").write_text(file)
    else:
        path.write_text(file)
    videos = load_annotations(path, None).dataset.videos
    assert videos
    if section not in LABELS_ONLY:
        assert all(video.annotations for video in videos)


@pytest.mark.parametrize(("section", "file"), examples("Predictions"))
def test_an_example_of_predictions_is_read(tmp_path: Path, section: str, file: str) -> None:
    path = tmp_path / "example"
    path.write_text(file)
    table = read_label_scores(path) if "labels" in section else read_predictions(path)
    assert table.score.size


def test_there_are_examples_of_all_layouts() -> None:
    assert len(examples("Annotations")) == 11
    assert len(examples("Predictions")) == 3
