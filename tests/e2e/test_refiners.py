"""Refiners, and a detector without maps, added to a finished run: only what is new is computed.

New videos go the same way.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from by_hand import MICRO, FullRun, Home, MakeHome, stamps

pytestmark = pytest.mark.timeout(400)

REFINERS = f"""
base: {MICRO}
detectors:
  tan:
    model: {{name: s_2d_tan, num_snippets: 16, hidden_dim: 8, kernel_size: 3, num_layers: 2}}
    optim: {{name: adam, lr: 1.0e-3, epochs: 1, batch_size: 4, micro_batch_size: 2}}
  weak:
    model: {{name: kt_mgfn, num_snippets: 16, hidden_dim: 8, regressor_dim: 8, transfer: false}}
    optim: {{name: adam, lr: 1.0e-3, epochs: 1, batch_size: 4, micro_batch_size: 2}}
end_to_end:
  whole:
    model:
      name: sp_tad
      frame_size: 24
      crop_size: 20
      window_frames: 32
      train_stride: 16
      infer_stride: 16
      streams: [rgb]
      backbone_width: 8
      freeze_norms: false
      hidden_dim: 16
      num_proposals: 4
      num_stages: 2
      attention_heads: 2
      dynamic_dim: 8
      num_bins: 4
      feedforward_dim: 16
    optim: {{lr: 1.0e-3, epochs: 1, batch_size: 4, micro_batch_size: 2}}
proposals:
  both: {{suppression: {{detections_per_video: 12}}}}
refiners:
  tca:
    model:
      name: tcanet
      hidden_dim: 16
      boundary_dim: 8
      segment_dim: 16
      num_heads: 2
      feedforward_dim: 16
      num_start_samples: 4
      num_action_samples: 8
      num_end_samples: 4
      num_encoders: 1
    proposals: both
    training_proposals: 8
    optim: &optim {{name: adam, lr: 1.0e-3, epochs: 1, batch_size: 4, micro_batch_size: 2}}
  rn:
    model: {{name: refine_network, hidden_dim: 16, head_dim: 16, transformer_heads: 2, num_bins: 4}}
    proposals: both
    training_proposals: 8
    optim: *optim
"""


@pytest.fixture(scope="module")
def refined(
    undisturbed: FullRun, make_home: MakeHome, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, Path]:
    """The micro run with two refiners on top, and the recipe."""
    home, recipe = make_home("refined"), tmp_path_factory.mktemp("recipe") / "refined.yaml"
    recipe.write_text(REFINERS)
    shutil.copytree(undisturbed.home.path, home.path, dirs_exist_ok=True)
    ended = home.run("full_pipeline", recipe=recipe)
    assert ended.returncode == 0, ended.stderr
    for stage in ("finetune", "features", "search"):
        assert f"{stage}: finished earlier, skipped" in ended.stdout
    for stage in ("frames", "train", "predict", "predict_training", "proposals", "refine"):
        assert f"{stage}: done in" in ended.stdout
    return home, recipe


def test_what_others_do_not_build_on_are_the_members(refined: tuple[Home, Path]) -> None:
    summary = refined[0].summary()
    names = ["slowfast-rn", "slowfast-tan", "slowfast-tca", "slowfast-weak", "whole"]
    assert [member["name"] for member in summary["members"]] == names
    assert set(summary["late"]) == set(names)
    assert 0 <= summary["learned_weights_map"] <= 1
    assert {"proposal_power", "refined_power"} <= summary["postprocess"].keys()


def test_a_second_call_does_nothing(refined: tuple[Home, Path]) -> None:
    home, recipe = refined
    before = stamps(home.folder())
    assert home.run("full_pipeline", recipe=recipe).returncode == 0
    assert stamps(home.folder()) == before


def test_a_new_video_is_detected_as_the_run_detects_it(refined: tuple[Home, Path], tmp_path: Path) -> None:
    detected_alike(refined[0], tmp_path)


@pytest.mark.slow
def test_refiners_alone_are_fused_by_proposal(refined: tuple[Home, Path], tmp_path: Path) -> None:
    home, recipe = refined
    theirs = f"tags.talaria.folder LIKE '{home.folder()}/%' and tags.talaria.belief = 'refined proposals'"
    ended = home.run("ensemble", "--members", theirs, recipe=recipe)
    assert ended.returncode == 0, ended.stderr
    summary = home.summary()
    assert [member["name"] for member in summary["members"]] == ["slowfast-rn", "slowfast-tca"]
    assert not summary["late"]
    detected_alike(home, tmp_path)


@pytest.mark.slow
def test_detectors_and_refiners_are_fused_by_their_detections(
    refined: tuple[Home, Path], tmp_path: Path
) -> None:
    home, recipe = refined
    everyone = f"tags.talaria.folder LIKE '{home.folder()}/%' and tags.talaria.predictions LIKE '%'"
    ended = home.run("ensemble", "--members", everyone, recipe=recipe)
    assert ended.returncode == 0, ended.stderr
    summary = home.summary()
    names = {member["name"] for member in summary["members"]}
    heads = {f"slowfast-{name}" for name in ("rn", "tan", "tca", "weak", "bmn12", "bmn16")}
    assert names == {*heads, "whole"}
    assert names == set(summary["late"])
    folder = Path(summary["detections"]).parent
    assert (folder / "ensemble.png").read_bytes().startswith(b"\x89PNG")
    assert len((folder / "members.csv").read_text().splitlines()) == 8
    detected_alike(home, tmp_path)


def detected_alike(home: Home, tmp_path: Path) -> None:
    """A judged video that is given as a new one has the detections that the run gave it."""
    summary = home.summary()
    results = json.loads(Path(summary["detections"]).read_text())["results"]
    video_id = next(name for name, found in results.items() if found)
    (video,) = home.path.glob(f"demo_data/*/videos/{video_id}.mp4")
    run, out = str(home.folder()), str(tmp_path / "found")
    ended = home.run("detect", str(video), "--run", run, "--out", out, recipe=None)
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "found" / "detections.json").read_text())["results"]
    assert found == {video_id: results[video_id]}
