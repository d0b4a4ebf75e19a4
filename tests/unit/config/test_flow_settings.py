"""Flow in recipes: a network is given what its modality says, and recipes without flow stay what they are."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from small_recipe import changed, problems, written

from talaria.config.fingerprint import fingerprint, plain
from talaria.config.loading import load_recipe, load_resolved, save_resolved
from talaria.config.specs import ClipSpec, FlowSpec
from talaria.pipeline.run import run_pipeline

CLIP = {"fps": 10, "num_frames": 16, "stride_frames": 4, "height": 48, "width": 64}
RGB, FLOW = "backbones/slowfast", "backbones/flow"


def two_streams(changes: dict[str, Any]) -> dict[str, Any]:
    """A recipe of two I3D networks, with some changes."""
    tree = {
        f"{RGB}/model": {"name": "i3d", "width": 8},
        f"{FLOW}/model": {"name": "i3d", "width": 8, "modality": "flow"},
        f"{FLOW}/clip": {**CLIP, "flow": {"method": "dis"}},
    }
    return changed({**tree, **changes})


def test_two_streams_load_run_dry_and_come_back_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_recipe(written(tmp_path, two_streams({})), ["backbones.flow.clip.flow.bound_px=10"])
    assert config.backbones["flow"].clip.flow == FlowSpec("dis", 10.0)
    assert config.backbones["flow"].clip.channels == 2
    assert config.backbones["slowfast"].clip.channels == 3
    save_resolved(config, tmp_path / "resolved.json")
    assert load_resolved(tmp_path / "resolved.json") == config
    run_pipeline(config, tmp_path / "home", {}, dry_run=True)
    assert "flow" in capsys.readouterr().out
    assert not (tmp_path / "home").exists()


def test_clips_of_colours_have_the_digest_of_settings_without_flow() -> None:
    clip = ClipSpec(**CLIP)
    assert plain(clip) == CLIP
    assert fingerprint({"clip": clip}) == fingerprint({"clip": CLIP})
    flow = ClipSpec(**CLIP, flow=FlowSpec())
    assert plain(flow) == {**CLIP, "flow": asdict(FlowSpec())}
    assert len({fingerprint(spec) for spec in (clip, flow, ClipSpec(**CLIP, flow=FlowSpec("tvl1")))}) == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({f"{FLOW}/clip/flow": None}, "backbones.flow.clip.flow: found nothing with model.modality flow; "),
        (
            {f"{FLOW}/model/modality": "rgb"},
            "backbones.flow.clip.flow: found flow, but i3d is given colours; expected null",
        ),
        (
            {f"{FLOW}/model": {"name": "slowfast", "width": 8}},
            "backbones.flow.clip.flow: found flow, but slowfast is given colours; expected null",
        ),
        ({f"{FLOW}/clip/flow/method": "farneback"}, "backbones.flow.clip.flow.method: found 'farneback'; "),
        (
            {f"{FLOW}/clip/flow/bound": 20},
            "backbones.flow.clip.flow.bound: unknown field; did you mean bound_px?",
        ),
        (
            {f"{FLOW}/clip/flow/bound_px": 0},
            "backbones.flow.clip.flow.bound_px: expected a positive number of pixels, got 0.0",
        ),
        (
            {f"{FLOW}/clip/height": 12},
            "backbones.flow.clip.height: expected at least 16 pixels for flow, got 12",
        ),
        (
            {f"{FLOW}/finetune": {"width": 15}},
            "backbones.flow.finetune.width: expected at least 16 pixels for flow, got 15",
        ),
    ],
)
def test_one_mistake_gives_one_sentence(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    found = problems(written(tmp_path, two_streams(changes)))
    assert len(found) == 1
    assert found[0].startswith(f"recipe.yaml: {sentence}")
