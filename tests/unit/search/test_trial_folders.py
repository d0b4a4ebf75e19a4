"""Trials on disk: a search is counted from them, whatever was killed in between."""

from __future__ import annotations

import json
from pathlib import Path

from talaria.search.trials import Report, TrialFolder, begun_trials, ended_trials


def reports(*scores: float) -> list[Report]:
    return [{"epoch": epoch + 1, "score": score, "cost": 2.0} for epoch, score in enumerate(scores)]


def begun(search: Path, number: int) -> TrialFolder:
    folder = TrialFolder(search, number)
    folder.begin({"a": number})
    return folder


def state(path: Path) -> None:
    (path / "weights").write_text(path.name)


def test_a_trial_goes_from_its_values_over_checkpoints_to_its_result(tmp_path: Path) -> None:
    folder = begun(tmp_path, 0)
    assert folder.checkpoint() == (None, [])
    for epoch in (1, 2, 3):
        folder.keep(reports(*[0.1 * e for e in range(epoch)]), state)
    path, found = folder.checkpoint()
    assert path is not None
    assert (path.name, len(found)) == ("epoch_00003", 3)
    assert [one.name for one in path.parent.iterdir()] == ["epoch_00003"]
    ended = folder.end(3, 3, died=False)
    assert (ended.status, ended.scores, ended.gflop, ended.values) == (
        "finished",
        (0.0, 0.1, 0.2),
        2.0,
        {"a": 0},
    )
    assert ended_trials(tmp_path) == [ended]
    assert not path.parent.exists()


def test_what_was_drawn_first_stays(tmp_path: Path) -> None:
    begun(tmp_path, 0)
    TrialFolder(tmp_path, 0).begin({"a": 7})
    assert TrialFolder(tmp_path, 0).values == {"a": 0}


def test_a_trial_that_was_stopped_counts_the_epochs_until_then(tmp_path: Path) -> None:
    folder = begun(tmp_path, 0)
    folder.keep(reports(0.5, 0.4, 0.3), state)
    assert folder.end(2, 4, died=False).scores == (0.5, 0.4)
    assert folder.result() == ended_trials(tmp_path)[0]
    assert ended_trials(tmp_path)[0].status == "stopped"


def test_a_failure_is_a_result_with_its_reason(tmp_path: Path) -> None:
    told, died, mended = (begun(tmp_path, number) for number in range(3))
    told.fail("the loss is nan")
    mended.fail("a node went away")
    mended.fail(None)
    mended.keep(reports(0.5), state)
    ended = [told.end(0, 1, died=False), died.end(0, 1, died=True), mended.end(1, 1, died=False)]
    assert [(one.status, one.score, one.reason) for one in ended] == [
        ("failed", None, "the loss is nan"),
        ("failed", None, "its process died"),
        ("finished", 0.5, ""),
    ]


def test_what_a_kill_leaves_half_written_does_not_count(tmp_path: Path) -> None:
    begun(tmp_path, 0).keep(reports(0.5), state)
    half = tmp_path / "trials" / "trial_00000" / "state" / ".epoch_00002.x.tmp"
    half.mkdir()
    (half / "weights").write_text("half")
    (tmp_path / "trials" / "trial_00001").mkdir()
    (tmp_path / "trials" / "trial_00001" / ".values.json.x.tmp").write_text("{")
    assert [folder.number for folder in begun_trials(tmp_path)] == [0]
    assert TrialFolder(tmp_path, 0).checkpoint()[1] == reports(0.5)
    assert ended_trials(tmp_path) == []


def test_a_result_is_plain_json(tmp_path: Path) -> None:
    folder = begun(tmp_path, 3)
    folder.keep(reports(0.5), state)
    folder.end(1, 1, died=False)
    read = json.loads((folder.path / "result.json").read_text())
    assert (read["name"], read["status"], read["scores"]) == ("trial_00003", "finished", [0.5])
