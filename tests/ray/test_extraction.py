"""Extraction on a real Ray: what becomes of every video, and the same bytes however work was spread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from talaria.cluster.connect import Capacity
from talaria.config.schema import ResourcesSection
from talaria.config.specs import ClipSpec, DemoSpec
from talaria.data.demo_plan import plan_videos
from talaria.data.demo_video import render_video
from talaria.errors import StageError
from talaria.features.extraction import extract
from talaria.features.extractor import Extractor
from talaria.features.requests import ExtractionPlan, StageLimits
from talaria.records import Video
from talaria.store.checkpoint import SavedModel, load_model, save_model
from talaria.store.feature_store import FeatureStore
from talaria.store.ledger import Ledger
from talaria_models import registry
from talaria_models.backbones.slowfast.config import TINY

CLIP = ClipSpec(fps=10, num_frames=8, stride_frames=4, height=32, width=32)
SPEC = DemoSpec(num_training=3, min_duration_s=5, max_duration_s=6, num_broken=0, num_short=0)
CAPACITY = Capacity(cpus=4, gpus=0, nodes=1)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Video, ...]:
    """Three good files, one that is no video, one that is not there."""
    folder = tmp_path_factory.mktemp("videos")
    found = []
    for plan in plan_videos(replace(SPEC, num_validation=0, num_testing=0)):
        path = folder / f"{plan.video_id}.mp4"
        render_video(plan, str(path))
        found.append(Video(plan.video_id, str(path), "training", plan.annotated_s, ()))
    (folder / "broken.mp4").write_bytes(b"no video")
    broken = Video("broken", str(folder / "broken.mp4"), "training", 5.0, ())
    return (*found, broken, Video("absent", None, "training", 5.0, ()))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network: its features are as reproducible as those of a trained one."""
    folder = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    sizes = {"num_classes": 3, "num_frames": 8, "height": 32, "width": 32}
    save_model(folder, registry.build(TINY, **sizes), SavedModel(TINY, sizes, {}))
    return folder


def plan_for(store: Path, backbone: Path) -> ExtractionPlan:
    store.mkdir(exist_ok=True)
    return ExtractionPlan(str(store), str(backbone), CLIP, 4, "float16", 60.0)


def run(
    plan: ExtractionPlan, videos: tuple[Video, ...], actors: int = 1, at_once: int = 1, **limits: Any
) -> list[str]:
    """Extract; returns the ids in the order in which they ended."""
    ended: list[str] = []
    allowed = StageLimits(**{"decode_limit_s": 60.0, "max_failed_frac": 0.5, **limits})
    resources = ResourcesSection(actors=actors, videos_per_actor=at_once)
    ledger = Ledger(Path(plan.store))
    extract(plan, videos, ledger, allowed, resources, CAPACITY, lambda row, found: ended.append(row.video_id))
    return ended


def shards(plan: ExtractionPlan) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (Path(plan.store) / "videos").iterdir()}


def test_every_video_ends_once_and_a_second_call_does_nothing(
    ray_session: Any, tmp_path: Path, videos: tuple[Video, ...], backbone: Path
) -> None:
    plan = plan_for(tmp_path / "a", backbone)
    run(plan, videos)
    rows = Ledger(Path(plan.store)).rows
    assert {name: row.status for name, row in rows.items()} == {
        **{video.video_id: "done" for video in videos[:3]},
        "broken": "failed",
        "absent": "failed",
    }
    assert rows["absent"].stage == "find"
    assert rows["broken"].stage == "decode"
    for video in videos[:3]:
        stored = FeatureStore(Path(plan.store)).read(video.video_id)
        assert stored.decoded_s == pytest.approx(video.duration_s, abs=0.2)
        assert len(stored.features_TC) == rows[video.video_id].num_units == len(stored.logits_TK)
    before = shards(plan)
    assert run(plan, videos) == []
    assert shards(plan) == before
    assert not list((Path(plan.store) / "parts").glob("*/*"))


def test_a_whole_shard_without_a_row_is_entered_and_not_computed(
    ray_session: Any, tmp_path: Path, videos: tuple[Video, ...], backbone: Path
) -> None:
    plan = plan_for(tmp_path / "killed", backbone)
    found = Extractor(plan).extracted(videos[0].video_id, str(videos[0].path))
    before = shards(plan)
    assert run(plan, videos[:1]) == [videos[0].video_id]
    row = Ledger(Path(plan.store)).rows[videos[0].video_id]
    assert (row.status, row.num_units, row.decoded_s) == ("done", found.num_snippets, found.decoded_s)
    assert shards(plan) == before


def test_features_that_do_not_fit_their_type_fail_with_a_sentence(
    tmp_path: Path, videos: tuple[Video, ...], backbone: Path
) -> None:
    model, saved = load_model(backbone)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.mul_(1e3)
    save_model(tmp_path / "loud", model, saved)
    plan = plan_for(tmp_path / "inf", tmp_path / "loud")
    found = Extractor(plan).extracted(videos[0].video_id, str(videos[0].path))
    assert "features are not finite in float16" in found.error
    assert not shards(plan)


def test_features_are_the_same_bytes_however_the_work_is_cut_up(
    ray_session: Any, tmp_path: Path, videos: tuple[Video, ...], backbone: Path
) -> None:
    together, apart = plan_for(tmp_path / "together", backbone), plan_for(tmp_path / "apart", backbone)
    run(together, videos[:3], actors=2)
    run(apart, videos[2:3])
    run(apart, videos[:3])
    threads = plan_for(tmp_path / "threads", backbone)
    run(threads, videos[:3], at_once=3)
    assert shards(together) == shards(apart) == shards(threads)
    assert {row.attempts for row in Ledger(Path(apart.store)).rows.values()} == {1}


def test_a_mended_file_is_done_on_request(
    ray_session: Any, tmp_path: Path, videos: tuple[Video, ...], backbone: Path
) -> None:
    plan = plan_for(tmp_path / "mended", backbone)
    path = tmp_path / "late.mp4"
    path.write_bytes(b"still being copied")
    late = Video("late", str(path), "training", None, ())
    run(plan, (videos[0], late))
    path.write_bytes(Path(str(videos[1].path)).read_bytes())
    assert run(plan, (videos[0], late)) == []
    assert run(plan, (videos[0], late), retry_failed=True) == ["late"]
    row = Ledger(Path(plan.store)).rows["late"]
    assert (row.status, row.attempts) == ("done", 2)


def test_too_many_failures_stop_the_stage_and_keep_what_was_done(
    ray_session: Any, tmp_path: Path, videos: tuple[Video, ...], backbone: Path
) -> None:
    plan = plan_for(tmp_path / "strict", backbone)
    with pytest.raises(StageError) as stopped:
        run(plan, videos[2:], max_failed_frac=0.5)
    assert "2 of 3 videos failed; data.max_failed_frac allows 0.5" in str(stopped.value)
    assert "broken: " in str(stopped.value)
    assert Ledger(Path(plan.store)).done() == {videos[2].video_id}
    run(plan, videos[2:], max_failed_frac=0.7)
