"""Every real and derived file ends in features or in a ledger row with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from talaria.cluster.connect import Capacity
from talaria.config.schema import ResourcesSection
from talaria.config.specs import ClipSpec
from talaria.features.extraction import extract
from talaria.features.requests import ExtractionPlan, StageLimits
from talaria.records import Video
from talaria.store.checkpoint import SavedModel, save_model
from talaria.store.feature_store import FeatureStore
from talaria.store.ledger import Ledger
from talaria_models import registry
from talaria_models.backbones.slowfast.config import TINY

CLIP = ClipSpec(fps=8, num_frames=8, stride_frames=4, height=32, width=40)
REASONS = {
    "invalid-bitstream.webm": "no frame of its vp9 stream decodes",
    "sample_ac3_audio_only.mp4": "holds no video stream",
    "sample_fragmented_zero_size_atom.mp4": "no frame of its h264 stream decodes",
    "audio_only.mp4": "holds no video stream",
    "random_bytes.mkv": "cannot be opened as a video",
    "text_not_video.mp4": "cannot be opened as a video",
    "truncated_no_moov.mp4": "cannot be opened as a video",
    "zero_bytes.mp4": "cannot be opened as a video",
    "folder.mp4": "is no file; expected a video",
    "absent.mp4": "is no file; expected a video",
}
"""Files that give no frame, and why."""
ODDITIES = {
    "corrupted.mp4": "damaged packets",
    "truncated_60pct.mp4": "of the declared 5.00 s decode",
    "avi_h264_bframes.avi": "",
}
"""Files that give some."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_file_ends_in_features_or_in_a_row(ray_session: Any, tmp_path: Path, shared: Path) -> None:
    folder = shared / "data" / "videos"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        pytest.skip(f"{folder} holds no file")
    (tmp_path / "folder.mp4").mkdir()
    files += [tmp_path / "folder.mp4", tmp_path / "absent.mp4"]
    videos = [Video(path.name, str(path), "testing", None, ()) for path in files]
    sizes = {"num_classes": 3, "num_frames": 8, "height": 32, "width": 40}
    torch.manual_seed(0)
    save_model(tmp_path / "model", registry.build(TINY, **sizes), SavedModel(TINY, sizes, {}))
    (tmp_path / "store").mkdir()
    plan = ExtractionPlan(str(tmp_path / "store"), str(tmp_path / "model"), CLIP, 4, "float16", 60.0)
    ledger = Ledger(tmp_path / "store")
    limits, capacity = StageLimits(60.0, 0.5), Capacity(cpus=4, gpus=0, nodes=1)
    extract(plan, videos, ledger, limits, ResourcesSection(actors=2), capacity, lambda row, found: None)

    assert ledger.rows.keys() == {video.video_id for video in videos}
    failed = {row.video_id: row.reason for row in ledger.failed()}
    assert failed.keys() == REASONS.keys() & ledger.rows.keys()
    for name, reason in failed.items():
        assert REASONS[name] in reason
    store = FeatureStore(tmp_path / "store")
    for video_id in ledger.done():
        row, stored = ledger.rows[video_id], store.read(video_id)
        assert len(stored.features_TC) == row.num_units >= 1
        assert abs(row.num_units - stored.decoded_s * CLIP.fps / CLIP.stride_frames) < 1
    for name, oddity in ODDITIES.items():
        if name in ledger.rows:
            assert oddity in ledger.rows[name].reason
