"""Detecting with a run whose classifiers form an ensemble of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from talaria.errors import ConfigError
from talaria.pipeline.detect import RunDetector
from talaria.records import Detection
from unit.report.finished_run import film, make_run

EVEN = {"tiny-one": 0.5, "tiny-two": 0.5}
NONE = {"tiny-video": 0.0, "tiny-transformer": 0.0, "tiny-clips": 0.0}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "film.mp4", 6.0)


def detected(folder: Path, video: Path, classifiers: dict[str, float] | None) -> list[Detection]:
    """Detections of a video by a run with such weights of classifiers; None for no ensemble."""
    return RunDetector(make_run(folder, EVEN, classifiers)).detect(video)[0]


def test_one_classifier_with_weight_one_says_what_it_says_in_every_member(
    tmp_path: Path, video: Path
) -> None:
    alone = detected(tmp_path / "alone", video, None)
    fused = detected(tmp_path / "fused", video, {**NONE, "tiny-video": 1.0})
    assert [(one.start_s, one.end_s, one.label) for one in fused] == [
        (one.start_s, one.end_s, one.label) for one in alone
    ]
    assert [one.score for one in fused] == pytest.approx([one.score for one in alone])


def test_each_classifier_has_its_say(tmp_path: Path, video: Path) -> None:
    found = [
        [one.score for one in detected(tmp_path / f"run{index}", video, weights)]
        for index, weights in enumerate(
            [
                {**NONE, "tiny-video": 1.0},
                {**NONE, "tiny-transformer": 1.0},
                {**NONE, "tiny-clips": 1.0},
                {"tiny-video": 0.4, "tiny-transformer": 1.5, "tiny-clips": 0.2},
            ]
        )
    ]
    assert all(found)
    assert len({tuple(scores) for scores in found}) == 4


def test_classifiers_without_weight_are_not_needed(tmp_path: Path, video: Path) -> None:
    run = make_run(tmp_path / "lean", EVEN, {**NONE, "tiny-video": 0.7, "tiny-clips": 0.7})
    for file in (run / "train" / "tiny-transformer").iterdir():
        file.unlink()
    assert RunDetector(run).detect(video)[0]


def test_a_classifier_that_the_recipe_lacks_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path / "drifted", EVEN, {**NONE, "tiny-other": 0.5})
    with pytest.raises(ConfigError, match="its recipe lacks the classifiers tiny-other of its summary"):
        RunDetector(run)
