"""Weakly supervised trainings see the classes of videos and trimmed clips, nothing of when actions happen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from talaria.config.fingerprint import fingerprint
from talaria.pipeline.videos import tagged_videos
from talaria.records import Annotation, Video
from talaria.store.checkpoint import load_model
from talaria.store.ledger import Ledger, LedgerRow
from talaria.training.loop import train
from talaria.training.weak_data import WeakDataset
from talaria_models.kt_mgfn.config import trimmed_branch
from unit.training.tiny_training import HEADS, LocalContext, TrainJob, feature_store, job, weak_source


def video(name: str, *spans_s: tuple[float, float]) -> Video:
    notes = tuple(Annotation(start_s, end_s, "run") for start_s, end_s in spans_s)
    return Video(name, f"/{name}.mp4", "training", 20.0, notes)


def test_what_is_learned_from_is_the_same_wherever_the_segments_lie(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for name in "ab":
        ledger.add(LedgerRow(name, "done", "", "", 1, 20.0, 19.8, 9))
    here = tagged_videos([video("a", (1, 3), (5, 9)), video("b", (2, 4))], ledger, 0.05)
    there = tagged_videos([video("a", (19.9, 20)), video("b", (0, 20))], ledger, 0.05)
    assert here == there
    assert fingerprint(here) == fingerprint(there)
    assert [one.labels for one in here] == [("run",), ("run",)]


def test_videos_that_failed_or_have_another_length_are_left_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(LedgerRow("broken", "failed", "decode", "", 1, 20.0, None, 0))
    ledger.add(LedgerRow("short", "done", "", "", 1, 20.0, 10.0, 9))
    videos = [video(name, (1, 3)) for name in ("broken", "short", "unknown")]
    assert tagged_videos(videos, ledger, 0.05) == ()


def taught(folder: Path) -> tuple[TrainJob, TrainJob]:
    """A finished training on trimmed clips, and one that takes from it."""
    base = weak_source(feature_store(folder / "features", 8))
    clips = replace(base, videos=base.videos[4:], num_bins=4)
    config = replace(HEADS["kt_mgfn"], transfer=True, trimmed_clips=3, trimmed_snippets=4)
    teacher = job("kt_mgfn", folder, "teacher", model=trimmed_branch(config), source=clips)
    train(teacher, LocalContext(folder / "teacher-state"))
    source = replace(base, videos=base.videos[:4], trimmed=clips.videos, teacher=teacher.out)
    return teacher, job("kt_mgfn", folder, "student", model=config, source=source)


def test_the_trimmed_branch_has_no_boundaries_and_its_clips_reach_the_batch(tmp_path: Path) -> None:
    teacher, student = taught(tmp_path)
    model, saved = load_model(Path(teacher.out))
    assert model.regressor is None
    dataset = WeakDataset(student.source, student.model)  # type: ignore[arg-type]
    one, again, other = dataset.sample(0, 1), dataset.sample(0, 1), dataset.sample(0, 2)
    classifiers = saved.config.num_classifiers  # type: ignore[union-attr]
    assert one["trimmed_features"].shape == (3, classifiers, saved.config.hidden_dim)  # type: ignore[union-attr]
    assert one["trimmed_valid"].tolist() == [True, True, False], "two of the four clips have its class"
    torch.testing.assert_close(one["trimmed_features"], again["trimmed_features"])
    assert not torch.equal(one["trimmed_features"], other["trimmed_features"])


def test_transfer_changes_the_network_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    _, student = taught(tmp_path)
    with_clips = train(student, LocalContext(tmp_path / "a"))
    alone = replace(
        student, source=replace(student.source, teacher=None, trimmed=()), out=str(tmp_path / "b")
    )  # type: ignore[type-var]
    without = train(alone, LocalContext(tmp_path / "b-state"))
    first, second = (dict(one.named_parameters())["first.conv1.weight"] for one in (with_clips, without))
    assert not torch.allclose(first, second)
    repeated = train(replace(student, out=str(tmp_path / "c")), LocalContext(tmp_path / "c-state"))
    for (name, one), other in zip(
        with_clips.state_dict().items(), repeated.state_dict().values(), strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=name)
