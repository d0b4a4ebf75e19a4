"""The leaderboard of a real SQLite file: who is there, in which order, and what an ensemble found out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from talaria.errors import ConfigError
from talaria.report.leaderboard import Leaderboard
from talaria.report.leaderboard_tables import ensemble_table, leaderboard_table
from talaria.tracking.mlflow_tracker import MEMBER_TAG, PREDICTIONS_TAG, SUBSET_TAG, Tracker

ROOT = Path(__file__).resolve().parents[3]
MEMBERS = {"a": 0.30, "b": 0.40, "c": None}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three members of the pipeline p, an older and a newer ensemble of a and b, and a classifier."""
    home = tmp_path_factory.mktemp("board")
    uri = f"sqlite:///{home / 'mlflow.db'}"
    tracker = Tracker(uri, "talaria", home / "artifacts")
    ids = {}
    for name, score in MEMBERS.items():
        tags = {"talaria.pipeline": "p", "talaria.model": "bmn"}
        run = tracker.run(name, f"p/{name}", "train", tags=tags, params={"features": "slowfast"})
        tracker.tag(run, PREDICTIONS_TAG, f"/p/{name}")
        tracker.tag(run, MEMBER_TAG, "no" if name == "a" else "yes")
        tracker.metrics(run, {"fit_auc": 61.5, "gflop": 1.25, "parameters": 2_500_000, "training_s": 95})
        if score is not None:
            tracker.metrics(run, {"average_map": score})
        ids[name] = run.run_id
    tracker.run("video", "p/video", "train", tags={"talaria.pipeline": "p"})
    for name, learned in (("old", 0.42), ("new", 0.45)):
        result = ensemble_result(ids, learned)
        (home / "ensemble.json").write_text(json.dumps(result))
        tags = {"talaria.pipeline": "p", SUBSET_TAG: "testing"}
        run = tracker.run(name, f"p/{name}", "ensemble", tags=tags)
        scores = ("best_member_map", "equal_weights_map", "learned_weights_map", "auc")
        tracker.metrics(run, {score: result[score] for score in scores})
        tracker.artifact(run, home / "ensemble.json")
    return uri


def ensemble_result(ids: dict[str, str], learned: float) -> dict[str, Any]:
    members = [
        {"name": name, "run_id": ids[name], "average_map": 0.3, "map_at_50": 0.5, "leave_one_out": 0.0125}
        for name in ("a", "b")
    ]
    return {
        "members": members,
        "weights": {"a": 0.25, "b": 0.75},
        "best_member_map": 0.40,
        "equal_weights_map": 0.39,
        "learned_weights_map": learned,
        "learned_map_at_50": 0.66,
        "auc": 70.0,
    }


def job(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "jobs" / "leaderboard.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_best_come_first_and_members_without_a_score_last(uri: str) -> None:
    entries = Leaderboard(uri, "talaria").entries(None)
    names = [entry.name for entry in entries]
    assert names == ["ensemble new", "ensemble old", "b", "a", "c"]
    assert entries[0].gain == pytest.approx(0.05)
    assert [entry.chosen for entry in entries[2:]] == ["member", "", "member"]


def test_the_console_shows_what_a_person_picks_by(uri: str) -> None:
    ended = job("--tracking-uri", uri)
    assert (ended.returncode, ended.stderr) == (0, "")
    for words in ("ensemble new", "slowfast", "bmn", "40.00", "+5.00", "61.50", "1.25", "2.50 M", "1m35s"):
        assert words in ended.stdout
    assert "p/new: average mAP on testing" in ended.stdout
    for words in ("0.750", "+1.25", "learned weights", "66.00"):
        assert words in ended.stdout
    assert "video" not in ended.stdout
    assert "\x1b" not in ended.stdout, "escape codes where there is no terminal"


def test_an_ensemble_is_named_by_its_name_or_id_and_else_is_the_latest(uri: str) -> None:
    board = Leaderboard(uri, "talaria")
    entries = board.entries(None)
    latest = board.ensemble(entries, None)
    assert latest is not None
    assert latest.entry.name == "ensemble new"
    for wanted in ("p/old", "ensemble old", entries[1].run.run_id):
        chosen = board.ensemble(entries, wanted)
        assert chosen is not None
        assert chosen.result["learned_weights_map"] == 0.42
    with pytest.raises(ConfigError, match="--ensemble: found no run 'x'; expected one of p/new, p/old"):
        board.ensemble(entries, "x")


def test_a_filter_chooses_among_members_and_ensembles(uri: str) -> None:
    board = Leaderboard(uri, "talaria")
    entries = board.entries("tags.talaria.member = 'yes'")
    assert [entry.name for entry in entries] == ["b", "c"]
    assert board.ensemble(entries, None) is None
    with pytest.raises(ConfigError, match="--filter: MLflow cannot read the filter"):
        board.entries("nonsense")
    with pytest.raises(ConfigError, match="has no member and no ensemble that matches"):
        board.entries("tags.talaria.pipeline = 'q'")


def test_a_member_is_registered_and_shown_with_its_alias(uri: str) -> None:
    ended = job("--tracking-uri", uri, "--register", "p/c", "hacs", "--alias", "champion")
    assert (ended.returncode, ended.stdout.strip()) == (0, "models:/hacs/1")
    entries = Leaderboard(uri, "talaria").entries(None)
    assert entries[-1].chosen == "member, hacs@champion"
    with pytest.raises(ConfigError, match=r"--register: found no run 'p/new'; expected one of"):
        Leaderboard(uri, "talaria").register(entries, "p/new", "hacs", None)


def test_columns_that_nobody_fills_are_left_out(uri: str) -> None:
    board = Leaderboard(uri, "talaria")
    headers = [str(column.header) for column in leaderboard_table(board.entries(None)[2:], "talaria").columns]
    assert "gain" not in headers
    assert "mAP" in headers


def test_an_ensemble_of_an_older_version_has_no_gains(uri: str) -> None:
    board = Leaderboard(uri, "talaria")
    entries = board.entries(None)
    report = board.ensemble(entries, None)
    assert report is not None
    for member in report.result["members"]:
        del member["leave_one_out"]
    gains = list(ensemble_table(report, entries).columns[-1].cells)
    assert gains[:2] == ["", ""]


def test_where_there_is_nothing_a_sentence_says_so_and_nothing_is_made(uri: str, tmp_path: Path) -> None:
    absent = job("--tracking-uri", f"sqlite:///{tmp_path / 'sub' / 'none.db'}")
    assert absent.returncode == 2
    assert "none.db does not exist; run a pipeline first" in absent.stderr
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match=r"there is no 'other' in MLflow; found .*'talaria'"):
        Leaderboard(uri, "other").entries(None)
