"""Detecting with a finished run: several videos, whole or broken, and folders that are no run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from talaria.errors import ConfigError, DataError
from talaria.evaluation.formats import read_detections
from talaria.pipeline.detect import RunDetector, write_results
from talaria.store.files import read_json, write_json
from unit.report.finished_run import CLASSES, film, make_run
from unit.report.scored_files import job

EVEN = {"tiny-one": 0.5, "tiny-two": 0.5}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "made", EVEN)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "film.mp4", 6.0)


def test_detections_lie_in_the_video_best_first(run: Path, video: Path) -> None:
    found, note = RunDetector(run).detect(video)
    assert found
    assert not note
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert {one.label for one in found} <= set(CLASSES)
    assert all(0 <= one.start_s < one.end_s <= 6.0 + 1e-6 for one in found)


def test_a_video_gives_the_same_alone_or_among_others(run: Path, video: Path, tmp_path: Path) -> None:
    other = film(tmp_path / "short.avi", 0.5)
    detected = RunDetector(run).detect_all([other, video])
    assert detected.results["film"] == RunDetector(run).detect(video)[0]
    assert all(one.end_s <= 0.5 + 0.1 for one in detected.results["short"])


def test_only_members_with_weight_are_needed(video: Path, tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", {"tiny-one": 1.0, "tiny-two": 0.0})
    for file in (one / "train" / "tiny-two").iterdir():
        file.unlink()
    assert RunDetector(one).detect(video)[0]
    both = make_run(tmp_path / "both", EVEN)
    assert RunDetector(one).detect(video)[0] != RunDetector(both).detect(video)[0]


def test_the_job_goes_on_past_bad_files(run: Path, video: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    answer = job("detect", tmp_path / "absent.mp4", text, video, "--run", run, "--out", tmp_path / "found")
    assert answer.returncode == 2
    problems = answer.stderr.splitlines()
    assert [line.split(":")[1].strip() for line in problems] == [str(tmp_path / "absent.mp4"), str(text)]
    assert list(read_detections(tmp_path / "found" / "detections.json", CLASSES)) == ["film"]
    assert "film" in answer.stdout


def test_a_folder_without_a_finished_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no finished run"):
        RunDetector(tmp_path / "nothing")
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(ConfigError, match="is damaged"):
        RunDetector(tmp_path)
    (tmp_path / "summary.json").write_text(json.dumps({"weights": {}}))
    with pytest.raises(ConfigError, match="has no classes, late, postprocess"):
        RunDetector(tmp_path)


def test_an_ensemble_with_foreign_members_is_told(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "mixed", {"tiny-one": 0.5, "other/big-bmn": 0.5})
    with pytest.raises(ConfigError, match="members of other runs: other/big-bmn"):
        RunDetector(folder)


def test_a_backbone_of_other_features_is_told(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "drifted", EVEN)
    contract = folder / "features" / "tiny" / "contract.json"
    write_json(contract, {**read_json(contract), "stride_frames": 2})
    with pytest.raises(DataError, match="stride_frames"):
        RunDetector(folder)


def test_two_files_of_one_name_are_told(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="2 files would have the video id 'x'"):
        RunDetector(run).detect_all([tmp_path / "x.mp4", tmp_path / "b" / "x.avi"])


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--out"):
        write_results(tmp_path / "file" / "below", {})
