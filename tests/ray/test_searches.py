"""Searches on a real Ray: several objectives, trials with several workers, trials that fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from searching import SPACE, searched

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_trials_with_two_workers_each_come_to_what_one_worker_comes_to(tmp_path: Path) -> None:
    """Stopped trials give their CPUs back: with two CPUs no other could start."""
    alone = searched(tmp_path / "material", tmp_path / "alone", num_trials=3)
    together = searched(tmp_path / "material", tmp_path / "together", num_trials=3, workers_per_trial=2)
    assert "stopped" in {status for status, _, _ in alone.values()}
    for name, (status, values, scores) in alone.items():
        assert together[name][:2] == [status, values]
        assert together[name][2] == pytest.approx(scores, abs=1e-3)


def test_score_and_cost_together(tmp_path: Path) -> None:
    found = searched(tmp_path / "material", tmp_path / "search", num_trials=3, objectives=["score", "cost"])
    assert sorted(found) == ["trial_00000", "trial_00001", "trial_00002"]
    assert all(scores for _, _, scores in found.values())


def test_a_trial_whose_settings_are_refused_together_fails_alone(tmp_path: Path) -> None:
    widths = {"type": "choice", "choices": [8, 12]}
    heads = {"type": "choice", "choices": [4, 8], "when": {"detectors.bmn.model.lgte_layers": 1}}
    space = {
        **SPACE,
        "detectors.bmn.model.lgte_layers": {"type": "choice", "choices": [1]},
        "detectors.bmn.model.hidden_dim_1d": widths,
        "detectors.bmn.model.lgte_heads": heads,
    }
    found = searched(tmp_path / "material", tmp_path / "search", num_trials=6, epochs=1, space=space)
    wide = {
        name: values["detectors.bmn.model.hidden_dim_1d"] % values["detectors.bmn.model.lgte_heads"]
        for name, (_, values, _) in found.items()
    }
    assert {name for name, (status, _, _) in found.items() if status == "failed"} == {
        name for name, rest in wide.items() if rest
    }
    assert set(map(bool, wide.values())) == {True, False}
