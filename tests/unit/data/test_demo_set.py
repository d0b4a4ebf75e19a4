"""The demo set: the same for one seed, exact, flawed where asked, safe to repeat."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talaria.config.specs import ClipSpec, DemoSpec
from talaria.data.annotations import LoadedAnnotations, load_annotations
from talaria.data.decoding import DecodedSummary, decode_frames, probe
from talaria.data.demo import render_demo
from talaria.data.demo_motion import PATTERNS, Instance, Stage, actor_poses
from talaria.data.demo_plan import VideoPlan, plan_videos
from talaria.data.demo_video import frames_of
from talaria.errors import DataError

SMALL = DemoSpec(seed=3, num_training=5, num_validation=2, num_testing=1, min_duration_s=5, max_duration_s=8)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    render_demo(folder, SMALL, workers=1)
    return folder


def loaded(folder: Path) -> LoadedAnnotations:
    return load_annotations(folder / "annotations.json", folder / "videos")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def decode(path: str, fps: float) -> tuple[np.ndarray, DecodedSummary]:
    summary = DecodedSummary()
    blocks = decode_frames(path, ClipSpec(fps, 1, 1, 64, 80), time_limit_s=60.0, summary=summary)
    return np.concatenate(list(blocks)), summary


def test_annotations_load_without_a_note_and_name_every_file(demo: Path) -> None:
    read = loaded(demo)
    assert read.notes == ()
    sizes = [len(read.dataset.subset(name)) for name in ("training", "validation", "testing")]
    assert sizes == [5, 2, 1]
    assert all(video.path and video.annotations for video in read.dataset.videos)
    assert set(read.dataset.classes) <= set(PATTERNS)


def test_files_are_as_long_as_annotated_but_for_the_flawed_ones(demo: Path) -> None:
    videos = {video.video_id: video for video in loaded(demo).dataset.videos}
    for video_id, video in videos.items():
        assert video.path
        assert video.duration_s
        if video_id == "demo_training_0004":
            with pytest.raises(DataError, match="cannot be opened"):
                decode(video.path, 5.0)
            continue
        _, summary = decode(video.path, 5.0)
        assert summary.error is None
        excess = 1.2 if video_id == "demo_training_0003" else 1.0
        assert summary.duration_s * excess == pytest.approx(video.duration_s, abs=0.01)
        assert max(a.end_s for a in video.annotations) <= summary.duration_s


def test_any_number_of_workers_gives_the_same_bytes(demo: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    path = render_demo(tmp_path, SMALL, workers=2, progress=lambda done, total: calls.append((done, total)))
    assert path == tmp_path / "annotations.json"
    assert contents(tmp_path) == contents(demo)
    assert calls == [(done, 8) for done in range(9)]


def test_a_second_run_renders_only_what_is_missing(demo: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (demo / "videos").iterdir()}
    lost = demo / "videos" / "demo_validation_0001.mp4"
    content = lost.read_bytes()
    lost.unlink()
    calls: list[int] = []
    render_demo(demo, SMALL, workers=1, progress=lambda done, _total: calls.append(done))
    assert calls == [7, 8]
    assert lost.read_bytes() == content
    assert {p for p in (demo / "videos").iterdir() if p.stat().st_mtime_ns != before[p]} == {lost}


def test_a_folder_of_another_spec_is_refused(demo: Path) -> None:
    with pytest.raises(DataError, match=r"seed was 3, is now 4"):
        render_demo(demo, DemoSpec(**{**vars(SMALL), "seed": 4}), workers=1)


def test_what_is_decoded_is_what_was_drawn(demo: Path) -> None:
    plan = plan_videos(SMALL)[0]
    drawn = np.stack(list(frames_of(plan)))
    decoded = np.concatenate(
        list(
            decode_frames(
                demo / "videos" / f"{plan.video_id}.mp4",
                ClipSpec(float(plan.fps), 1, 1, plan.height, plan.width),
                time_limit_s=60.0,
            )
        )
    )
    assert decoded.shape == drawn.shape
    assert np.abs(decoded.astype(int) - drawn).mean() < 6


def poses_of(label: str, seed: int) -> np.ndarray:
    return actor_poses(
        Stage(128, 96, 10.0), 100, [Instance(30, 70, label)], 14.0, np.random.default_rng(seed)
    )


@pytest.mark.parametrize("label", PATTERNS)
def test_labels_differ_in_the_annotated_frames_and_nowhere_else(label: str) -> None:
    """One seed gives one rest, whatever the action, so the action is what differs."""
    other = "pulse" if label != "pulse" else "swing_up_down"
    for seed in range(5):
        differs = np.abs(poses_of(label, seed) - poses_of(other, seed))[:, [0, 1, 3]].max(axis=1) > 1e-9
        turned = np.abs(poses_of(label, seed)[:, 2] - poses_of(label, seed)[29, 2]) > 1e-9
        assert not differs[:30].any()
        assert differs[30]
        assert differs[30:69].mean() > 0.9
        assert not differs[69:].any()  # the last annotated frame is back at rest
        assert turned[30:].any() == (label == "spin")


@pytest.mark.parametrize("label", PATTERNS)
def test_an_action_moves_more_than_rest_does(label: str) -> None:
    for seed in range(12):
        change = np.abs(np.diff(poses_of(label, seed), axis=0)) / [96, 96, 1, 1]
        speed = change.sum(axis=1)
        assert speed[30:68].mean() > 2 * max(speed[:29].mean(), speed[70:].mean())


def test_every_kind_of_motion_stays_on_stage() -> None:
    for label in PATTERNS:
        for seed in range(5):
            stage = Stage(96, 128, 10.0)
            poses = actor_poses(stage, 300, [Instance(20, 280, label)], 14.0, np.random.default_rng(seed))
            assert (poses[:, :2] > -5).all()
            assert (poses[:, :2] < np.array([stage.width, stage.height]) + 5).all()


def test_classes_turn_or_mirror_into_one_another_only_in_time() -> None:
    phase = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    clockwise = np.stack(PATTERNS["circle_clockwise"](phase))
    counter = np.stack(PATTERNS["circle_counter_clockwise"](phase))
    np.testing.assert_allclose(clockwise, counter[:, ::-1][:, np.arange(-1, 49)], atol=1e-12)


def test_plans_have_the_promised_spread() -> None:
    plans = plan_videos(DemoSpec(num_training=200, num_validation=0, num_testing=0))
    lengths_s = [float(p.num_frames / p.fps) for p in plans]
    assert 44 < np.mean(lengths_s) < 56
    assert min(lengths_s) > 29.9
    assert max(lengths_s) < 120.1
    assert {len(p.instances) for p in plans} == {1, 2, 3, 4, 5}
    actions_s = [float(i.end_idx - i.start_idx) / float(p.fps) for p in plans for i in p.instances]
    assert min(actions_s) > 1.9
    assert 20 < max(actions_s) < 30.1
    mixed = np.mean([len({i.label for i in p.instances}) > 1 for p in plans])
    assert 0.02 < mixed < 0.1
    assert len({(p.width, p.height) for p in plans}) >= 4
    assert Fraction(24000, 1001) in {p.fps for p in plans}
    assert len({i.label for p in plans for i in p.instances}) == 8


def test_instances_are_in_order_and_apart() -> None:
    for plan in plan_videos(DemoSpec(num_training=100, min_duration_s=4, max_duration_s=20)):
        edges = [0, *(idx for i in plan.instances for idx in (i.start_idx, i.end_idx)), plan.num_frames]
        assert all(earlier < later for earlier, later in itertools.pairwise(edges))


def plan_of(plans: list[VideoPlan], video_id: str) -> VideoPlan:
    return next(plan for plan in plans if plan.video_id == video_id)


def test_a_video_does_not_depend_on_how_many_there_are() -> None:
    few, many = plan_videos(SMALL), plan_videos(DemoSpec(**{**vars(SMALL), "num_training": 50}))
    assert plan_of(few, "demo_training_0001") == plan_of(many, "demo_training_0001")
    assert plan_of(few, "demo_testing_0000") == plan_of(many, "demo_testing_0000")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_classes": 1}, "num_classes: expected a whole number of at least 2"),
        ({"num_classes": 13}, "num_classes: expected at most 12"),
        ({"num_training": 2}, "num_training: expected more than the 2"),
        ({"num_testing": -1}, "num_testing: expected a whole number of at least 0"),
        ({"seed": 1.5}, "seed: expected a whole number"),
        ({"min_duration_s": 50.0, "max_duration_s": 40.0}, "min_duration_s <= max_duration_s"),
        ({"max_duration_s": float("nan")}, "max_duration_s"),
    ],
)
def test_a_bad_spec_names_its_field(changes: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        DemoSpec(**changes)  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_the_annotation_file_has_the_activitynet_layout(demo: Path) -> None:
    tree = json.loads((demo / "annotations.json").read_text())
    assert set(tree) == {"version", "database"}
    entry = tree["database"]["demo_training_0000"]
    assert {"duration", "subset", "annotations"} <= set(entry)
    assert probe(demo / "videos" / "demo_training_0000.mp4").fps == pytest.approx(entry["fps"])
