"""From drawn values to a training, its judge and its cost, for every kind of target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from talaria.errors import ConfigError, StageError
from talaria.search.cost import gflop
from talaria.search.plan import split_videos
from talaria.search.trial import TrialContext
from talaria.search.trials import Report, TrialFolder
from talaria.training.job import LabelledVideo
from talaria.training.loop import train
from talaria_models.registry import build
from unit.search.searches import plan
from unit.training.tiny_training import BMN, HEADS, NUM_CHANNELS, KilledError, losses, video

KINDS = ("bmn", "classifier", "tcanet", "refine_network")


def names(videos: tuple[LabelledVideo, ...]) -> set[str]:
    return {one.video_id for one in videos}


class Cut:
    """Takes reports, and is killed at one."""

    def __init__(self, last: int) -> None:
        self.told: list[Report] = []
        self._last = last

    def __call__(self, report: Report) -> None:
        self.told.append(report)
        if report["epoch"] == self._last:
            raise KilledError


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_learns_reports_every_epoch_and_goes_on_after_a_kill(kind: str, tmp_path: Path) -> None:
    search = plan(kind, tmp_path, tmp_path / "search")
    values = {f"{search.section.target}.optim.lr": 0.02}
    told = {}
    for name, kills in {"whole": (), "killed": (2, 3)}.items():
        folder = TrialFolder(tmp_path / name, 0)
        folder.begin(values)
        for last in (*kills, 0):
            cut = Cut(last)
            context = TrialContext(
                folder, search.judge(values), search.gflop(values), cut, device=torch.device("cpu")
            )
            if last:
                with pytest.raises(KilledError):
                    train(search.job(values, folder.path), context)
            else:
                train(search.job(values, folder.path), context)
        told[name] = cut.told
        assert [line["step"] for line in losses(folder.path)] == [0, 1, 2, 3]
    assert [report["epoch"] for report in told["whole"]] == [1, 2, 3, 4]
    assert told["killed"] == told["whole"], "reports of earlier epochs are repeated, later ones the same"
    assert all(0 <= report["score"] <= 1 and report["cost"] > 0 for report in told["whole"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_has_the_drawn_values_the_trials_epochs_and_other_videos_than_its_judge(
    kind: str, tmp_path: Path
) -> None:
    search = plan(kind, tmp_path, tmp_path / "search", epochs=3)
    made = search.job({f"{search.section.target}.optim.lr": 0.02}, tmp_path / "trial")
    assert (made.optim.lr, made.optim.epochs) == (0.02, 3)
    learn, held = split_videos(search.source.videos, search.section.holdout_frac)
    assert names(made.source.videos) == names(learn)  # type: ignore[union-attr]
    assert not names(learn) & names(held)
    assert names(learn) | names(held) == names(search.source.videos)


def test_settings_outside_the_model_reach_the_training(tmp_path: Path) -> None:
    draw = {"type": "int", "low": 2, "high": 8}
    space = {"refiners.tcanet.training_proposals": draw, "refiners.tcanet.max_snippets": draw}
    search = plan("tcanet", tmp_path, tmp_path / "search", space=space)
    made = search.job(dict.fromkeys(space, 3), tmp_path / "trial")
    assert (made.source.num_proposals, made.source.max_snippets) == (3, 3)  # type: ignore[union-attr]
    search = plan("classifier", tmp_path, tmp_path / "s2", space={"classifiers.classifier.num_bins": draw})
    made = search.job({"classifiers.classifier.num_bins": 5}, tmp_path / "trial")
    assert made.source.num_bins == 5  # type: ignore[union-attr]


def test_a_combination_that_the_settings_refuse_is_an_error_of_the_trial(tmp_path: Path) -> None:
    search = plan("bmn", tmp_path, tmp_path / "search")
    with pytest.raises(ConfigError, match="hidden_dim_1d: found 9, expected a multiple of groups"):
        search.job({"detectors.bmn.model.hidden_dim_1d": 9}, tmp_path / "trial")


def test_drawn_post_processing_changes_the_judge_alone(tmp_path: Path) -> None:
    search = plan("bmn", tmp_path, tmp_path / "search")
    values = {"postprocess.detections_per_video": 1}
    torch.manual_seed(0)
    model = build(BMN, in_channels=NUM_CHANNELS)
    assert search.judge(values).score(model) < search.judge({}).score(model)
    assert search.job(values, tmp_path) == search.job({}, tmp_path)


def test_held_out_videos_without_annotations_are_an_error(tmp_path: Path) -> None:
    search = plan("bmn", tmp_path, tmp_path / "search")
    bare = tuple(replace(one, annotations=()) for one in search.source.videos)
    with pytest.raises(StageError, match="none of 3 held-out training videos has an annotation"):
        replace(search, source=replace(search.source, videos=bare)).judge({})


@pytest.mark.parametrize("count", [0, 1])
def test_one_video_cannot_be_held_out_from_itself(count: int) -> None:
    with pytest.raises(StageError, match=f"{count} training videos; expected at least 2"):
        split_videos(tuple(video(index) for index in range(count)), 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cost_is_the_same_each_time_and_grows_with_the_video(kind: str) -> None:
    sizes = {"in_channels": NUM_CHANNELS} | ({"num_classes": 2} if kind == "classifier" else {})
    proposals = 5 if kind in ("tcanet", "refine_network") else None
    lengths = (8, 8) if kind == "bmn" else (16, 32)
    short, long = (gflop(HEADS[kind], sizes, length, proposals) for length in lengths)
    assert short == gflop(HEADS[kind], sizes, lengths[0], proposals)
    assert 0 < short <= long


def test_a_cost_is_that_of_the_layers(tmp_path: Path) -> None:
    model = replace(HEADS["classifier"], hidden_dim=10)
    few, many = (
        gflop(replace(model, hidden_dim=d), {"in_channels": 8, "num_classes": 2}, 16, None) for d in (10, 20)
    )
    assert many == pytest.approx(2 * few)
