"""The training loop in this process: kills, micro-batches, workers, and what stops it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import BMN, HEADS, OPTIM, DyingContext, KilledError, LocalContext, curve, job, losses

from talaria.config.nodes import OptimSection
from talaria.errors import DataError, StageError
from talaria.store.checkpoint import load_model, read_card, save_model, weights_digest
from talaria.store.feature_store import FeatureStore
from talaria.training.job import LabelledVideo, SnippetSource
from talaria.training.loop import lr_factor, train
from talaria_models.registry import build


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("kind", [*HEADS, "slowfast"])
@pytest.mark.parametrize("checkpoint_first", [True, False])
def test_a_killed_training_ends_like_an_uninterrupted_one(
    tmp_path: Path, kind: str, checkpoint_first: bool
) -> None:
    whole = job(kind, tmp_path, "whole")
    train(whole, LocalContext(tmp_path / "checkpoints_whole"))
    killed = replace(whole, out=str(tmp_path / "killed"))
    with pytest.raises(KilledError):
        train(killed, DyingContext(tmp_path / "checkpoints", 1, checkpoint_first=checkpoint_first))
    assert not (tmp_path / "killed" / "model.json").exists()
    torch.manual_seed(99)
    again = LocalContext(tmp_path / "checkpoints")
    train(killed, again)
    assert again.reported == ([2, 3] if checkpoint_first else [1, 2, 3])
    assert losses(killed.out) == losses(whole.out)
    assert [line["step"] for line in losses(killed.out)] == [0, 1, 2, 3]
    assert weights_digest(Path(killed.out)) == weights_digest(Path(whole.out))


def test_a_kill_in_the_middle_of_a_line_costs_that_epoch_only(tmp_path: Path) -> None:
    made = job("bmn", tmp_path)
    with pytest.raises(KilledError):
        train(made, DyingContext(tmp_path / "checkpoints", 2, checkpoint_first=False))
    metrics = Path(made.out) / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:-9])
    train(made, LocalContext(tmp_path / "checkpoints"))
    assert [line["step"] for line in losses(made.out)] == [0, 1, 2, 3]


def test_finished_epochs_are_not_done_again(tmp_path: Path) -> None:
    made = job("bmn", tmp_path)
    train(made, LocalContext(tmp_path / "checkpoints"))
    digest = weights_digest(Path(made.out))
    again = LocalContext(tmp_path / "checkpoints")
    train(made, again)
    assert again.reported == []
    assert weights_digest(Path(made.out)) == digest
    assert len(losses(made.out)) == 4


@pytest.mark.parametrize("micro_batch_size", [1, 3])
def test_micro_batches_do_not_change_the_training(tmp_path: Path, micro_batch_size: int) -> None:
    whole = job("bmn", tmp_path, "whole", optim=OPTIM.model_copy(update={"micro_batch_size": 4}))
    cut = replace(whole, out=str(tmp_path / "cut"))
    cut = replace(cut, optim=OPTIM.model_copy(update={"micro_batch_size": micro_batch_size}))
    train(whole, LocalContext(tmp_path / "a"))
    train(cut, LocalContext(tmp_path / "b"))
    np.testing.assert_allclose(curve(cut), curve(whole), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", [*HEADS, "slowfast"])
def test_a_model_learns_and_its_folder_is_whole(tmp_path: Path, kind: str) -> None:
    optim = OPTIM.model_copy(update={"epochs": 12, "lr": 0.02})
    made = job(kind, tmp_path, optim=optim)
    train(made, LocalContext(tmp_path / "checkpoints"))
    values = curve(made)
    assert values[-1] < 0.8 * values[0]
    model, card = load_model(Path(made.out))
    assert card == read_card(Path(made.out))
    assert card.config == made.model
    assert card.sizes == made.sizes
    assert card.card == {"classes": ["jump", "run"]}
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


def without_annotations(source: SnippetSource) -> SnippetSource:
    return replace(source, videos=tuple(replace(video, annotations=()) for video in source.videos))


def test_a_video_without_actions_still_trains_a_detector(tmp_path: Path) -> None:
    made = job("bmn", tmp_path)
    train(replace(made, source=without_annotations(made.source)), LocalContext(tmp_path / "checkpoints"))
    assert all(math.isfinite(value) for value in curve(made))


def test_nothing_to_train_on_stops(tmp_path: Path) -> None:
    detector, classifier = job("bmn", tmp_path), job("classifier", tmp_path)
    for made in (
        replace(detector, source=replace(detector.source, videos=())),
        replace(classifier, source=without_annotations(classifier.source)),
    ):
        with pytest.raises(StageError, match=f"^{made.name}: there is nothing to train on"):
            train(made, LocalContext(tmp_path / "checkpoints"))


def test_features_that_are_not_finite_stop_with_step_and_video(tmp_path: Path) -> None:
    made = job("bmn", tmp_path)
    store = FeatureStore(Path(made.source.folder))
    features_TC = store.read("video_3").features_TC
    features_TC[5, 2] = np.nan
    store.write("video_3", features_TC, np.zeros((12, 3), np.float32), 6.0)
    with pytest.raises(StageError, match=r"^bmn: the loss is nan at step [01]; .* not finite in: video_3$"):
        train(made, LocalContext(tmp_path / "checkpoints"))
    assert not (Path(made.out) / "model.json").exists()


def test_a_loss_that_diverges_names_the_videos_of_its_step(tmp_path: Path) -> None:
    wild = OPTIM.model_copy(update={"lr": 1e30, "warmup_epochs": 0, "schedule": "constant", "name": "sgd"})
    made = job("bmn", tmp_path, optim=wild)
    with pytest.raises(
        StageError, match=r"the loss is (nan|inf) at step \d+; videos of this step: video_\d, "
    ):
        train(made, LocalContext(tmp_path / "checkpoints"))


def test_damaged_features_stop_with_their_file(tmp_path: Path) -> None:
    made = job("bmn", tmp_path)
    FeatureStore(Path(made.source.folder)).path("video_2").unlink()
    with pytest.raises(DataError, match=r"video_2\.parquet: no readable features of video video_2"):
        train(made, LocalContext(tmp_path / "checkpoints"))


def test_a_training_starts_from_given_weights(tmp_path: Path) -> None:
    still = OPTIM.model_copy(update={"lr": 1e-12, "weight_decay": 0.0, "epochs": 1})
    first = job("bmn", tmp_path, "first")
    train(first, LocalContext(tmp_path / "a"))
    second = replace(first, out=str(tmp_path / "second"), start_from=first.out, optim=still, seed=5)
    train(second, LocalContext(tmp_path / "b"))
    ours, theirs = (load_model(Path(made.out))[0].state_dict() for made in (first, second))
    for key, tensor in ours.items():
        torch.testing.assert_close(theirs[key], tensor, rtol=0, atol=1e-6)
    wide = build(replace(BMN, hidden_dim_3d=4), in_channels=8)
    save_model(tmp_path / "wide", wide, read_card(Path(first.out)))
    with pytest.raises(DataError, match="weights of another network"):
        train(replace(second, start_from=str(tmp_path / "wide")), LocalContext(tmp_path / "c"))


def test_the_seed_decides_the_training(tmp_path: Path) -> None:
    made = job("classifier", tmp_path)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(
            replace(made, out=str(tmp_path / name), seed=seed), LocalContext(tmp_path / f"checkpoints_{name}")
        )
    a, b, c = (weights_digest(tmp_path / name) for name in "abc")
    assert a == b != c


def test_the_learning_rate_warms_up_and_falls() -> None:
    optim = OptimSection(epochs=10, warmup_epochs=2)
    factors = [lr_factor(optim, step, steps_per_epoch=5) for step in range(50)]
    assert factors[0] == pytest.approx(1 / 11)
    assert max(factors) == factors[10] == 1.0
    assert all(a < b for a, b in pairwise(factors[:11]))
    assert all(a > b for a, b in pairwise(factors[10:]))
    assert 0 < factors[-1] < 0.01
    flat = OptimSection(epochs=10, warmup_epochs=0, schedule="constant")
    assert {lr_factor(flat, step, 5) for step in range(50)} == {1.0}
    only_warmup = OptimSection(epochs=1, warmup_epochs=3)
    assert all(0 < lr_factor(only_warmup, step, 5) < 1 for step in range(5))


def test_truth_beyond_the_decoded_end_is_cut(tmp_path: Path) -> None:
    made = job("bmn", tmp_path)
    late = tuple(LabelledVideo(video.video_id, 2.0, video.annotations) for video in made.source.videos)
    train(replace(made, source=replace(made.source, videos=late)), LocalContext(tmp_path / "checkpoints"))
    assert all(math.isfinite(value) for value in curve(made))
