"""Searches on a real Ray: several objectives, trials with several workers, trials that fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from searching import searched

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
    below = "detectors.bmn.model"
    space = {
        f"{below}.lgte_layers": {"type": "choice", "choices": [1]},
        f"{below}.lgte_heads": {"type": "choice", "choices": [8]},
        f"{below}.hidden_dim_1d": {"type": "choice", "choices": [8, 12]},
    }
    found = searched(tmp_path / "material", tmp_path / "search", num_trials=3, epochs=1, space=space)
    ended = {
        (values[f"{below}.hidden_dim_1d"], status, len(scores)) for status, values, scores in found.values()
    }
    assert ended == {(8, "finished", 1), (12, "failed", 0)}
    (reason,) = {path.read_text() for path in (tmp_path / "search").glob("trials/*/failure.json")}
    assert "lgte_heads: found 8, expected a divisor of hidden_dim_1d=12" in reason
