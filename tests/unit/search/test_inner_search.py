"""The inner search finds what is good, and a killed one ends where an undisturbed one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from talaria.config.postprocess import PostprocessConfig
from talaria.errors import DataError, DriftError
from talaria.search.inner import Uniform, search_postprocess, search_weights

BASE = PostprocessConfig(proposals_per_video=77)
ROOT = Path(__file__).resolve().parents[3]


def objective(config: PostprocessConfig) -> float:
    """Best at boundary_power 0.5, alpha 0.3 and three classes."""
    return (
        1.0
        - (config.boundary_power - 0.5) ** 2
        - (config.alpha - 0.3) ** 2
        - 0.1 * abs(config.classes_per_video - 3)
    )


def searched(journal: Path, trials: int = 30, *, seed: int = 1, identity: str = "a") -> PostprocessConfig:
    return search_postprocess(objective, BASE, trials=trials, seed=seed, journal=journal, identity=identity)


def test_the_search_beats_the_settings_it_was_given(tmp_path: Path) -> None:
    found = searched(tmp_path / "s" / "journal.log")
    assert len(trials_in(tmp_path / "s" / "journal.log")) == 30
    assert objective(found) > objective(BASE) + 0.3
    assert found.proposals_per_video == 77
    assert found.classification == BASE.classification


def test_the_same_seed_gives_the_same_and_another_seed_another_search(tmp_path: Path) -> None:
    first, again = searched(tmp_path / "1"), searched(tmp_path / "2")
    assert first == again
    assert first != searched(tmp_path / "3", seed=2)


def test_settings_that_no_trial_beats_stay(tmp_path: Path) -> None:
    found = search_postprocess(
        lambda config: float(config == BASE), BASE, trials=5, seed=0, journal=tmp_path / "j", identity="a"
    )
    assert found == BASE


def test_a_finished_search_draws_nothing_more(tmp_path: Path) -> None:
    first = searched(tmp_path / "j", trials=8)
    size = (tmp_path / "j").stat().st_size
    assert searched(tmp_path / "j", trials=8) == first
    assert (tmp_path / "j").stat().st_size == size


def test_a_search_goes_on_to_more_trials_as_if_it_had_been_longer(tmp_path: Path) -> None:
    searched(tmp_path / "j", trials=12)
    assert searched(tmp_path / "j", trials=25) == searched(tmp_path / "whole", trials=25)


def test_a_killed_search_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    """kill -9 in the middle of trial 13, half a line in the journal, then the same call again."""
    code = (
        "import os, signal, sys; sys.path[:0] = ['platform', 'models', 'tests']\n"
        "from pathlib import Path\n"
        "from unit.search import test_inner_search as t\n"
        "real, calls = t.objective, []\n"
        "def objective(config):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 13: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(config)\n"
        "t.objective = objective\n"
        f"t.searched(Path({str(tmp_path / 'j')!r}))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ, check=False)
    assert run.returncode == -signal.SIGKILL
    with (tmp_path / "j").open("a") as journal:
        journal.write('{"op_code": 4, "half')
    assert searched(tmp_path / "j") == searched(tmp_path / "whole")
    assert trials_in(tmp_path / "j") == trials_in(tmp_path / "whole")


def test_a_journal_of_another_search_is_refused(tmp_path: Path) -> None:
    searched(tmp_path / "j", trials=2)
    with pytest.raises(DriftError, match=r"j: was made with another identity"):
        searched(tmp_path / "j", trials=2, identity="other members")
    with pytest.raises(DriftError, match="was made with another seed"):
        searched(tmp_path / "j", trials=2, seed=9)


def test_a_journal_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("this is\nno journal\n")
    with pytest.raises(DataError, match="is no study that can be read"):
        searched(tmp_path / "j")


def test_only_the_given_space_is_searched(tmp_path: Path) -> None:
    found = search_postprocess(
        objective,
        BASE,
        trials=10,
        seed=0,
        journal=tmp_path / "j",
        identity="a",
        space={"alpha": Uniform(0.1, 0.35)},
    )
    assert 0.1 <= found.alpha <= 0.35
    assert found == PostprocessConfig(proposals_per_video=77, alpha=found.alpha)


def test_weights_are_searched_and_leave_equal_ones_only_for_a_gain(tmp_path: Path) -> None:
    def near(weights: tuple[float, ...]) -> float:
        return 0.8 - sum((one - wanted) ** 2 for one, wanted in zip(weights, (0.8, 0.2, 0.0), strict=True))

    found = search_weights(near, 3, trials=60, seed=0, journal=tmp_path / "a", identity="a")
    assert sum(found) == pytest.approx(1)
    assert found[0] > 0.6 > 0.3 > found[2]
    flat = search_weights(lambda weights: 0.5, 3, trials=20, seed=0, journal=tmp_path / "b", identity="b")
    assert flat == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def trials_in(journal: Path) -> list[tuple[int, dict[str, float], float]]:
    """Number, draws and value of every trial that the journal holds."""
    import optuna

    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
    study = optuna.load_study(study_name=None, storage=storage)
    return [(trial.number, trial.params, trial.value) for trial in study.trials]
