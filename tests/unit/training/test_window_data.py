"""Frames on disk and the windows that are cut from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from talaria.config.nodes import EndToEndNode
from talaria.config.specs import DemoSpec
from talaria.data.demo_plan import plan_videos
from talaria.data.demo_video import render_video
from talaria.errors import DataError
from talaria.features.frames import FramesPlan, store_video
from talaria.records import Annotation
from talaria.store.frame_store import FrameStore
from talaria.training.job import LabelledVideo, WindowSource
from talaria.training.loop import train
from talaria.training.window_data import WindowDataset, window_frames
from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.sp_tad.windows import Window
from unit.training.tiny_training import OPTIM, LocalContext, TrainJob, losses

CONFIG = SPTADConfig(
    frame_size=20,
    crop_size=16,
    window_frames=32,
    train_stride=8,
    infer_stride=16,
    streams=("rgb",),
    backbone_width=8,
    freeze_norms=False,
    hidden_dim=16,
    num_proposals=4,
    num_stages=2,
    attention_heads=2,
    dynamic_dim=8,
    num_bins=4,
    feedforward_dim=16,
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> WindowSource:
    """Two rendered videos of four to six seconds, stored as frames."""
    folder = tmp_path_factory.mktemp("frames")
    spec = DemoSpec(
        num_training=2, num_classes=2, min_duration_s=4, max_duration_s=6, num_broken=0, num_short=0
    )
    streams = {"rgb": EndToEndNode(model=CONFIG).clip_of("rgb")}
    videos, num_frames = [], []
    for plan in plan_videos(spec)[:2]:
        path = folder / f"{plan.video_id}.mp4"
        render_video(plan, str(path))
        row = {"video_id": np.array([plan.video_id]), "path": np.array([str(path)])}
        answer = store_video(row, FramesPlan(str(folder), streams, 60.0))
        assert answer["error"][0] == ""
        notes = tuple(
            Annotation(float(one.start_idx / plan.fps), float(one.end_idx / plan.fps), one.label)
            for one in plan.instances
        )
        videos.append(LabelledVideo(plan.video_id, float(answer["decoded_s"][0]), notes))
        num_frames.append(int(answer["num_frames"][0]))
    classes = tuple(sorted({note.label for video in videos for note in video.annotations}))
    return WindowSource(str(folder), tuple(videos), tuple(num_frames), classes, flip=True)


def test_frames_come_back_in_rate_and_size(source: WindowSource) -> None:
    store = FrameStore(Path(source.folder))
    frames = store.read(source.videos[0].video_id, "rgb")
    assert frames.shape == (source.num_frames[0], 20, 20, 3)
    assert source.num_frames[0] == pytest.approx(10 * source.videos[0].duration_s)
    assert frames.std() > 1
    assert store.decoded_s(source.videos[0].video_id, "rgb") == source.videos[0].duration_s
    with pytest.raises(DataError, match="cannot be read"):
        store.read("unknown", "rgb")


def test_a_file_that_is_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no video")
    streams = {"rgb": EndToEndNode(model=CONFIG).clip_of("rgb")}
    row = {"video_id": np.array(["x"]), "path": np.array([str(tmp_path / "x.mp4")])}
    answer = store_video(row, FramesPlan(str(tmp_path), streams, 60.0))
    assert "cannot be opened as a video" in str(answer["error"][0])
    assert not list((tmp_path / "rgb").glob("*"))


def test_windows_hold_the_frames_of_their_place_and_zeros_beyond() -> None:
    frames = np.arange(50, dtype=np.uint8)[:, None, None, None] * np.ones((1, 20, 20, 3), np.uint8)
    whole = window_frames(frames, Window(10, 32), CONFIG)
    assert whole.shape == (32, 16, 16, 3)
    assert whole[:, 0, 0, 0].tolist() == list(range(10, 42))
    short = window_frames(frames[:20], Window(0, 20), CONFIG)
    assert short[:, 0, 0, 0].tolist() == [*range(20), *[0] * 12]


def test_samples_are_cropped_by_their_seed_and_have_the_actions_of_their_window(source: WindowSource) -> None:
    dataset = WindowDataset(source, CONFIG)
    assert len(dataset)
    one, again, other = dataset.sample(0, 1), dataset.sample(0, 1), dataset.sample(0, 9)
    assert one["rgb"].shape == (32, 16, 16, 3)
    torch.testing.assert_close(one["rgb"], again["rgb"])
    assert not torch.equal(one["rgb"], other["rgb"])
    assert one["valid"].any()
    assert one["segments"].max() <= 1.0
    assert dataset.describe(0) in {video.video_id for video in source.videos}


@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_it_trains_and_a_rate_of_zero_leaves_the_backbone_alone(
    source: WindowSource, tmp_path: Path, scale: float
) -> None:
    config = replace(CONFIG, backbone_lr_scale=scale)
    optim = OPTIM.model_copy(update={"epochs": 2, "lr": 1e-3})
    made = TrainJob(
        "whole", config, {"num_classes": len(source.classes)}, optim, source, 3, str(tmp_path / "out"), {}
    )
    torch.manual_seed(made.seed)
    model = train(made, LocalContext(tmp_path / "state"))
    assert len(losses(made.out)) == 2
    untrained = train(
        replace(made, out=str(tmp_path / "none"), optim=optim.model_copy(update={"lr": 1e-12})),
        LocalContext(tmp_path / "none-state"),
    )
    name = next(key for key, value in model.named_parameters() if "backbone" in key and value.ndim > 1)
    moved = not torch.allclose(model.state_dict()[name], untrained.state_dict()[name], atol=1e-7)
    assert moved == (scale > 0)
