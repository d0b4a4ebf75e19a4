"""Clips and features of flow on a real Ray, with a tiny I3D: of the whole stream, the same bytes again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from talaria.cluster.connect import Capacity
from talaria.config.schema import ResourcesSection
from talaria.config.specs import ClipSpec, DemoSpec, FlowSpec
from talaria.data.demo_plan import plan_videos
from talaria.data.demo_video import render_video
from talaria.data.flow import clip_frames
from talaria.features.clips import ClipPlan, made_clips, make_clips
from talaria.features.extraction import extract
from talaria.features.requests import ExtractionPlan, StageLimits
from talaria.records import Annotation, Video
from talaria.store.checkpoint import SavedModel, load_model, save_model
from talaria.store.feature_store import FeatureStore
from talaria.store.ledger import Ledger
from talaria_models import registry
from talaria_models.backbones.i3d.config import I3DConfig
from talaria_models.backbones.pixels import network_input

pytestmark = pytest.mark.slow

pytest.importorskip("cv2", reason="OpenCV, the extra `flow`, is not installed")

CLIP = ClipSpec(fps=10, num_frames=8, stride_frames=4, height=32, width=40, flow=FlowSpec(bound_px=4.0))
CONFIG = I3DConfig(modality="flow", width=8)
LIMITS = StageLimits(decode_limit_s=60.0, max_failed_frac=0.0)
CAPACITY = Capacity(cpus=4, gpus=0, nodes=1)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    """One short video with one annotated segment."""
    spec = DemoSpec(num_training=1, min_duration_s=5, max_duration_s=6, num_broken=0, num_short=0)
    plan = plan_videos(spec)[0]
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    render_video(plan, str(path))
    return Video("a", str(path), "training", plan.annotated_s, (Annotation(1.0, 3.0, "turn"),))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network."""
    folder = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    sizes = {"num_classes": 3, "num_frames": 8, "height": CLIP.height, "width": CLIP.width}
    save_model(folder, registry.build(CONFIG, **sizes), SavedModel(CONFIG, sizes, {}))
    return folder


def extracted(store: Path, backbone: Path, video: Video) -> bytes:
    """The shard of a fresh extraction."""
    store.mkdir()
    plan = ExtractionPlan(str(store), str(backbone), CLIP, 4, "float32", 60.0)
    extract(plan, [video], Ledger(store), LIMITS, ResourcesSection(), CAPACITY, lambda *row: None)
    return FeatureStore(store).path(video.video_id).read_bytes()


def test_features_of_flow_are_those_of_the_whole_flow(
    ray_session: Any, tmp_path: Path, video: Video, backbone: Path
) -> None:
    assert extracted(tmp_path / "one", backbone, video) == extracted(tmp_path / "two", backbone, video)
    stored = FeatureStore(tmp_path / "one").read(video.video_id)
    flow = np.concatenate(list(clip_frames(str(video.path), CLIP, time_limit_s=60.0)))
    assert len(stored.features_TC) == -(-len(flow) // CLIP.stride_frames)
    snippet = 5
    begin = snippet * CLIP.stride_frames + CLIP.stride_frames // 2 - CLIP.num_frames // 2
    clip = torch.from_numpy(flow[begin : begin + CLIP.num_frames])[None]
    with torch.inference_mode():
        expected = load_model(backbone)[0](network_input(clip, CONFIG)).features_BC[0].numpy()
    np.testing.assert_allclose(stored.features_TC[snippet], expected, rtol=1e-4, atol=1e-6)


def test_clips_of_flow_are_cut_for_fine_tuning(ray_session: Any, tmp_path: Path, video: Video) -> None:
    plan = ClipPlan(str(tmp_path), CLIP, ("turn",), 3, 2, 0, 60.0, 0.5)
    make_clips(plan, [video], Ledger(tmp_path), LIMITS, lambda row: None)
    (file,), (labels,) = made_clips(plan, Ledger(tmp_path))
    clips = np.load(file)
    assert clips.shape == (5, 8, 32, 40, 2)
    assert sorted(labels) == [0, 0, 0, 1, 1]
    assert all((clip != 128).any() for clip in clips)
    assert clips.min() >= 1
