"""Fine-tuning at another size than extraction, and backbones that need an extra."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_recipe import changed, problems, written

from talaria.config.loading import load_recipe, load_resolved, save_resolved
from talaria.config.nodes import BackboneNode
from talaria.pipeline.graph import clip_group
from talaria_models.registry import build

ROOT = Path(__file__).resolve().parents[3]
SLOWFAST = "backbones/slowfast"
VIDEO_TRANSFORMERS: dict[str, dict[str, Any]] = {
    "vivit": {"name": "vivit", "patch_size": 16},
    "timesformer": {"name": "timesformer"},
    "videomae": {"name": "videomae"},
}


def node(folder: Path, changes: dict[str, Any]) -> BackboneNode:
    """The backbone of the small recipe, whose clips are 48 x 64, and its section after a round trip."""
    config = load_recipe(written(folder, changed(changes)))
    save_resolved(config, folder / "resolved.json")
    assert load_resolved(folder / "resolved.json") == config
    return config.backbones["slowfast"]


@pytest.mark.parametrize(
    ("size", "tuned"), [({}, (48, 64)), ({"height": 32}, (32, 64)), ({"height": 96, "width": 32}, (96, 32))]
)
def test_clips_to_learn_from_differ_in_what_is_set_alone(
    tmp_path: Path, size: dict[str, int], tuned: tuple[int, int]
) -> None:
    found = node(tmp_path, {f"{SLOWFAST}/finetune": size})
    assert (found.finetune_clip.height, found.finetune_clip.width) == tuned
    assert (found.clip.height, found.clip.width) == (48, 64)
    assert found.finetune_clip.stride_s == found.clip.stride_s
    as_extracted = node(tmp_path, {})
    assert (clip_group(found) == clip_group(as_extracted)) is (tuned == (48, 64))


@pytest.mark.parametrize("model", VIDEO_TRANSFORMERS.values(), ids=VIDEO_TRANSFORMERS)
def test_networks_with_a_position_for_every_patch_keep_their_size(
    tmp_path: Path, model: dict[str, Any]
) -> None:
    changes = {f"{SLOWFAST}/model": model, f"{SLOWFAST}/finetune": {"height": 32, "width": 64}}
    assert problems(written(tmp_path, changed(changes))) == [
        "recipe.yaml: backbones.slowfast.finetune.height: found 32; expected 48 as in clip, "
        f"as {model['name']} has a position for every patch"
    ]


def test_a_size_below_one_is_refused(tmp_path: Path) -> None:
    (problem,) = problems(written(tmp_path, changed({f"{SLOWFAST}/finetune": {"height": 0}})))
    assert (
        problem == "recipe.yaml: backbones.slowfast.finetune.height: found 0; expected a number of at least 1"
    )


def job(code: str) -> subprocess.CompletedProcess[str]:
    """A Python process with the paths that jobs have."""
    paths = [str(ROOT / folder) for folder in ("platform", "models", "jobs")]
    code = f"import runpy, sys; sys.path[:0] = {paths!r}; {code}"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["timesformer", "videomae"])
def test_without_the_extra_a_recipe_ends_in_one_sentence(tmp_path: Path, name: str) -> None:
    recipe = written(tmp_path, changed({f"{SLOWFAST}/model": {"name": name}}))
    ended = job(
        "sys.modules['transformers'] = None; "
        f"sys.argv = ['full_pipeline.py', '--recipe', {str(recipe)!r}, '--dry-run']; "
        "runpy.run_path('jobs/full_pipeline.py', run_name='__main__')"
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"error: recipe.yaml: backbones.slowfast.model.name: {name} needs the extra transformers: "
        "pip install -c constraints.txt -e '.[transformers]'\n"
    )


def test_a_worker_without_the_extra_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = node(tmp_path, {f"{SLOWFAST}/model": {"name": "videomae"}}).model
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match="videomae needs the extra transformers"):
        build(config, num_classes=3, num_frames=16, height=48, width=64)


def test_reading_a_recipe_imports_no_extra(tmp_path: Path) -> None:
    recipe = written(tmp_path, changed({f"{SLOWFAST}/model": {"name": "videomae"}}))
    ended = job(
        f"from talaria.config.loading import load_recipe; load_recipe({str(recipe)!r}); "
        "sys.exit('transformers' in sys.modules)"
    )
    assert ended.returncode == 0, ended.stderr
