"""Every way to mistype a recipe ends in one helpful sentence per mistake, all of them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_recipe import SMALL, changed, problems, written

from talaria.config.loading import load_recipe

SLOWFAST = "backbones/slowfast"

ONE_MISTAKE: list[tuple[dict[str, Any], str]] = [
    (
        {"detectors/bmn/model/num_snipets": 3},
        "detectors.bmn.model.num_snipets: unknown field; did you mean num_snippets?",
    ),
    (
        {f"{SLOWFAST}/model/wdth": 3},
        "backbones.slowfast.model.wdth: unknown field; did you mean width?",
    ),
    (
        {f"{SLOWFAST}/finetune": {"optim": {"epoch": 3}}},
        "backbones.slowfast.finetune.optim.epoch: unknown field; did you mean epochs?",
    ),
    ({"detectors/bmn/lr": 0.1}, "detectors.bmn.lr: unknown field; did you mean optim.lr?"),
    (
        {"tracking/zzz": 1},
        "tracking.zzz: unknown field; expected one of experiment, uri",
    ),
    (
        {f"{SLOWFAST}/clip/zzz": 1},
        "backbones.slowfast.clip.zzz: unknown field; "
        "expected one of flow, fps, height, num_frames, stride_frames, width",
    ),
    ({"detector": {}}, "detector: unknown field; did you mean detectors?"),
    (
        {f"{SLOWFAST}/model/name": "slowfsat"},
        "backbones.slowfast.model.name: found 'slowfsat'; expected one of slowfast, vivit",
    ),
    (
        {f"{SLOWFAST}/model": {"name": "i3d", "modality": "flow"}},
        "backbones.slowfast.clip.flow: found nothing with model.modality flow; expected ",
    ),
    (
        {f"{SLOWFAST}/model/name": ...},
        "backbones.slowfast.model.name: missing; expected one of slowfast, vivit",
    ),
    (
        {"detectors/bmn/model/name": "bnm"},
        "detectors.bmn.model.name: found 'bnm'; expected one of bmn, s_2d_tan",
    ),
    (
        {"detectors/bmn/optim": {"epochs": 2.5}},
        "detectors.bmn.optim.epochs: found 2.5; expected a whole number",
    ),
    (
        {"detectors/bmn/optim": {"epochs": True}},
        "detectors.bmn.optim.epochs: found true; expected a whole number",
    ),
    ({"detectors/bmn/optim": {"lr": "fast"}}, "detectors.bmn.optim.lr: found 'fast'; expected a number"),
    ({"detectors/bmn/optim": {"lr": 0}}, "detectors.bmn.optim.lr: found 0; expected a number above 0"),
    (
        {"detectors/bmn/optim": {"lr": float("nan")}},
        "detectors.bmn.optim.lr: found NaN; expected a finite number",
    ),
    (
        {"detectors/bmn/optim": {"name": "adan"}},
        "detectors.bmn.optim.name: found 'adan'; expected 'adamw', 'adam' or 'sgd'",
    ),
    ({"detectors/bmn/optim": [1]}, "detectors.bmn.optim: found [1]; expected a section with name, lr, "),
    ({"detectors/bmn/features": "slowfast"}, "detectors.bmn.features: found 'slowfast'; expected a list"),
    ({"detectors/bmn/features": [3]}, "detectors.bmn.features.0: found 3; expected text; put it in quotes"),
    ({"detectors/bmn": None}, "detectors.bmn: found nothing; expected a section with model, features, optim"),
    ({"detectors": {}}, "detectors: missing; expected at least one, or one in end_to_end"),
    (
        {"detectors": {"weak": {"model": {"name": "kt_mgfn"}}}},
        "detectors.weak.model.transfer: needs trimmed clips, but data.trimmed_subset is not set; set it",
    ),
    (
        {"end_to_end": {"whole": {"model": {"name": "sp_tad"}, "start_from": {"rgb": "slow"}}}},
        "end_to_end.whole.start_from.rgb: 'slow' is no backbone; expected one of slowfast",
    ),
    (
        {"end_to_end": {"whole": {"model": {"name": "sp_tad"}, "start_from": {"rgb": "slowfast"}}}},
        "end_to_end.whole.start_from.rgb: 'slowfast' is SlowFastConfig(",
    ),
    (
        {"end_to_end": {"w": {"model": {"name": "sp_tad", "streams": ["rgb"]}, "start_from": {"flow": "x"}}}},
        "end_to_end.w.start_from.flow: model.streams has no flow",
    ),
    (
        {"end_to_end": {"slowfast-bmn": {"model": {"name": "sp_tad"}}}},
        "end_to_end.slowfast-bmn: a head on a backbone has this name, too; expected another one",
    ),
    (
        {"end_to_end": {"w": {"model": {"name": "sp_tad", "window_frames": 100}}}},
        "end_to_end.w.model.window_frames: found 100, expected a multiple of 16",
    ),
    ({"run": ...}, "run: missing; expected a section with name, root, seed"),
    ({"run": {"name": "../up"}}, "run.name: found '../up'; expected up to 64 letters"),
    (
        {"detectors/b m": {"model": {"name": "bmn"}}},
        "detectors: found the name 'b m'; expected up to 64 letters",
    ),
    (
        {f"{SLOWFAST}/model/blocks": [1, 1]},
        "backbones.slowfast.model.blocks: found [1, 1]; expected a list of 4",
    ),
    (
        {f"{SLOWFAST}/model/blocks": [1, 1, 1, 1, 1]},
        "backbones.slowfast.model.blocks: found [1, 1, 1, 1, 1]; expected a list of 4",
    ),
    (
        {f"{SLOWFAST}/clip/fps": -1},
        "backbones.slowfast.clip.fps: expected a positive number of frames per second, got -1.0",
    ),
    (
        {"detectors/bmn/features": ["slow"]},
        "detectors.bmn.features: 'slow' is no backbone; expected one of slowfast",
    ),
    (
        {"proposals": {"all": {"members": ["slowfast-bmm"]}}},
        "proposals.all.members: 'slowfast-bmm' is no detector with maps on its backbone; expected one of "
        "slowfast-bmn,",
    ),
    (
        {"refiners": {"tca": {"model": {"name": "tcanet"}, "proposals": "all"}}},
        "refiners.tca.proposals: 'all' is unknown; expected an entry of proposals, which the recipe lacks",
    ),
    (
        {"proposals": {"all": {}}, "refiners": {"bmn": {"model": {"name": "tcanet"}, "proposals": "all"}}},
        "refiners.bmn: a detector has this name, too; expected another one",
    ),
    (
        {
            "proposals": {"all": {}, "one": {"members": ["slowfast-bmn"]}},
            "refiners": {
                "a": {"model": {"name": "tcanet"}, "proposals": "all"},
                "b": {"model": {"name": "refine_network"}, "proposals": "one"},
            },
        },
        "refiners: found several values of proposals or stages; expected one for all",
    ),
    ({"classifiers": {}}, "classifiers: found 0; expected one for postprocess.classification: video"),
    ({"data": {}}, "data.videos: not set; expected data.videos and data.annotations, or data.generate"),
    ({"data": {"videos": "v"}}, "data.annotations: not set; data.videos and data.annotations go together"),
    (
        {f"{SLOWFAST}/finetune": None},
        "backbones.slowfast.finetune: null needs checkpoint or published, or features would be random",
    ),
    (
        {"search": {"target": "detectors.bnm", "features": "slow", "space": {"x": {"type": "choice"}}}},
        "search.space.x.choices: empty; expected the values to choose from",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), ONE_MISTAKE, ids=[s[:60] for _, s in ONE_MISTAKE])
def test_one_mistake_gives_one_sentence(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    found = problems(written(tmp_path, changed(changes)))
    assert len(found) == 1
    assert found[0].startswith(f"recipe.yaml: {sentence}")


def test_the_small_recipe_itself_is_fine(tmp_path: Path) -> None:
    config = load_recipe(written(tmp_path, SMALL))
    assert config.detectors["bmn"].model.num_snippets == 16


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    tree = changed(
        {
            "detectors/bmn/model/num_snipets": 3,
            "detectors/bmn_long/optim": {"lr": "x"},
            "backbones/slowfast/model/name": "x3d",
            "postprocess": {"low": 3, "alpha": -1},
            "data/generate/num_training": 0,
            "extra": 1,
        }
    )
    found = [line.removeprefix("recipe.yaml: ").split(":")[0] for line in problems(written(tmp_path, tree))]
    assert sorted(found) == [
        "backbones.slowfast.model.name",
        "data.generate.num_training",
        "detectors.bmn.model.num_snipets",
        "detectors.bmn_long.optim.lr",
        "extra",
        "postprocess.alpha",
        "postprocess.low",
    ]


def test_a_renamed_required_section_is_one_mistake(tmp_path: Path) -> None:
    tree = changed({"detectors/bmn/modell": SMALL["detectors"]["bmn"]["model"], "detectors/bmn/model": ...})
    assert problems(written(tmp_path, tree)) == [
        "recipe.yaml: detectors.bmn.modell: unknown field; did you mean model?"
    ]


def test_a_node_may_have_the_name_of_a_model(tmp_path: Path) -> None:
    node = {**SMALL["backbones"]["slowfast"], "model": {"name": "vivit", "slowfast": 1}}
    found = problems(written(tmp_path, changed({"backbones/vivit": node})))
    assert found[0].startswith("recipe.yaml: backbones.vivit.model.slowfast: unknown field")


def test_several_faults_of_one_section_have_the_full_path_each(tmp_path: Path) -> None:
    found = problems(
        written(tmp_path, changed({"backbones/slowfast/clip/width": 0, "backbones/slowfast/clip/fps": 0}))
    )
    assert [line.split(": ")[1] for line in found] == [
        "backbones.slowfast.clip.width",
        "backbones.slowfast.clip.fps",
    ]


def test_several_faults_of_a_backbone_are_told_at_once(tmp_path: Path) -> None:
    flow = {f"{SLOWFAST}/model": {"name": "i3d", "modality": "flow"}, f"{SLOWFAST}/finetune": None}
    assert [line.split(": ")[1] for line in problems(written(tmp_path, changed(flow)))] == [
        "backbones.slowfast.finetune",
        "backbones.slowfast.clip.flow",
    ]


def test_choices_of_mixed_kinds_keep_their_kinds(tmp_path: Path) -> None:
    path = "detectors.bmn.model.num_samples"
    space = {path: {"type": "choice", "choices": [16, 32]}}
    search = {"target": "detectors.bmn", "features": "slowfast", "space": space}
    config = load_recipe(written(tmp_path, changed({"search": search})))
    assert config.search is not None
    assert [type(value) for value in config.search.space[path].choices] == [int, int]
    search["space"] = {path: {"type": "choice", "choices": [[1], None]}}
    assert problems(written(tmp_path, changed({"search": search}))) == [
        f"recipe.yaml: search.space.{path}.choices.{position}: found {found}; "
        "expected a number or text or true or false"
        for position, found in ((0, "[1]"), (1, "nothing"))
    ]
