"""Every recipe of jobs/recipes loads, survives its JSON, and all its models can be built without memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from talaria.config.loading import load_recipe, load_resolved, save_resolved
from talaria.config.schema import RunConfig
from talaria.pipeline.graph import classifier_heads, detector_heads, proposal_sources, refiner_heads
from talaria.pipeline.run import run_pipeline
from talaria_models.registry import TELL_CLASSES, build

RECIPES = sorted((Path(__file__).resolve().parents[3] / "jobs" / "recipes").glob("*.yaml"))
NUM_CLASSES = 200
TABLE_1 = {
    "slowfast101": (32, 2, 256, "sgd", 0.02, 1e-7, "cosine", 5, 50, 0.5),
    "csn152": (32, 2, 256, "adamw", 1e-4, 1e-4, "cosine", 8, 30, 0.0),
    "vivit": (32, 2, 256, "adamw", 1e-5, 0.1, "cosine", 2.5, 30, 0.5),
    "timesformer": (8, 32, 256, "sgd", 0.004, 1e-4, "cosine", 1, 15, 0.5),
}
"""Of the 2021 report: frames, every how many at 30 fps, batch size, optimiser, learning rate, weight decay,
schedule, warm-up and training epochs, dropout."""


def feature_dim(backbone: nn.Module) -> int:
    """Channels that one clip of a backbone gives, found by asking it on the meta device."""
    return int(backbone.feature_dim)


def models(config: RunConfig) -> Iterator[tuple[str, nn.Module]]:
    """Every network of a recipe, with HACS's number of classes; backbones for both of their clips."""
    channels: dict[str, int] = {}
    for name, node in config.backbones.items():
        for clip in {node.clip, node.finetune_clip}:
            sizes = {"num_frames": clip.num_frames, "height": clip.height, "width": clip.width}
            network = build(node.model, num_classes=NUM_CLASSES + 1, **sizes)
            channels[name] = feature_dim(network)
            yield f"{name} {clip.height}x{clip.width}", network
    nodes: dict[str, Any] = {**config.detectors, **config.refiners, **config.classifiers}
    for head in (*detector_heads(config), *refiner_heads(config), *classifier_heads(config)):
        node = nodes[head.node_name]
        sizes = {"in_channels": channels[head.backbone]}
        if node in config.classifiers.values() or node.model.name in TELL_CLASSES:
            sizes["num_classes"] = NUM_CLASSES
        yield head.name, build(node.model, **sizes)
    for name, whole in config.end_to_end.items():
        yield name, build(whole.model, num_classes=NUM_CLASSES)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_loads_and_its_models_are_built_on_the_meta_device(path: Path, tmp_path: Path) -> None:
    sources = ("data.videos=/v", "data.annotations=/a.json") if path.stem == "asl_tiny" else ()
    config = load_recipe(path, list(sources))
    save_resolved(config, tmp_path / "recipe.json")
    assert load_resolved(tmp_path / "recipe.json") == config
    with torch.device("meta"):
        built = dict(models(config))
    assert all(parameter.is_meta for network in built.values() for parameter in network.parameters())
    assert all(proposal_sources(config, name) for name in config.proposals)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs_dry(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_recipe(path, ("data.videos=/v", "data.annotations=/a.json"))
    run_pipeline(config, tmp_path, {}, dry_run=True)
    assert "-> finetune -> features ->" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "row"), TABLE_1.items(), ids=TABLE_1)
def test_fine_tuning_has_the_numbers_of_the_2021_report(name: str, row: tuple[Any, ...]) -> None:
    (node,) = load_recipe(RECIPES[0].parent / f"finetune_{name}.yaml").backbones.values()
    assert node.finetune is not None
    optim, model, step = node.finetune.optim, node.model, getattr(node.model, "frame_step", 1)
    dropout = getattr(model, "head_dropout", None)
    found = (
        node.clip.num_frames // step,
        round(30 / node.clip.fps * step),
        *(optim.batch_size, optim.name, optim.lr, optim.weight_decay),
        *(optim.schedule, optim.warmup_epochs, optim.epochs),
        model.dropout if dropout is None else dropout,
    )
    assert found == row
    assert (node.finetune_clip.height, node.finetune_clip.width) == (224, 224)
    square = name in ("vivit", "timesformer")
    assert (node.clip.height, node.clip.width) == ((224, 224) if square else (256, 320))
    assert node.clip.stride_s == pytest.approx(8 / 30)


def test_the_winners_fine_tune_as_each_backbone_by_itself() -> None:
    folder = RECIPES[0].parent
    winners = load_recipe(folder / "hacs_2021.yaml").backbones
    alone = [load_recipe(folder / f"finetune_{name}.yaml").backbones for name in TABLE_1]
    assert winners == {name: node for nodes in alone for name, node in nodes.items() if name != "timesformer"}


def test_the_winning_graphs_have_the_reports_numbers() -> None:
    folder = RECIPES[0].parent
    first, second = (load_recipe(folder / f"hacs_{year}.yaml", []) for year in (2020, 2021))
    assert [node.model.num_snippets for node in first.detectors.values()] == [256, 200, 180, 160, 200, 200]
    assert [node.model.lstm_layers for node in first.detectors.values()] == [0, 0, 0, 0, 1, 2]
    assert [head.name for head in detector_heads(first) if head.backbone != "slowfast"] == ["i3d-bmn200"]
    assert len(proposal_sources(first, "ensemble")) == 7
    assert all(node.model.tiou_thresholds == (0.5, 0.6, 0.7) for node in first.refiners.values())  # type: ignore[union-attr]
    assert {name: len(refiner_heads(config)) for name, config in (("2020", first), ("2021", second))} == {
        "2020": 5,
        "2021": 3,
    }
    tcanet, bmn = second.refiners["tcanet"], second.detectors["bmn200"]
    assert (tcanet.optim.lr, tcanet.optim.batch_size, tcanet.optim.epochs) == (1.6e-3, 64, 10)
    assert (bmn.optim.lr, bmn.optim.batch_size, bmn.model.lgte_layers) == (1e-3, 128, 2)
    assert (second.postprocess.low, second.postprocess.high, second.postprocess.alpha) == (0.25, 0.9, 0.4)
    assert second.postprocess.boundary_power == second.proposals["ensemble"].suppression.boundary_power == 0.0
