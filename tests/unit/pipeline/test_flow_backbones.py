"""Backbones of flow in the pipeline: checkpoints fit the clips, and the contract says what they see."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from talaria.config.fingerprint import plain
from talaria.config.loading import load_recipe
from talaria.errors import DataError
from talaria.pipeline.backbones import make_contract
from talaria.pipeline.session import Session
from talaria.pipeline.weights import starting_weights
from talaria.records import Dataset, Video
from talaria.store.checkpoint import SavedModel, save_model
from talaria.store.feature_store import FeatureStore
from talaria_models.backbones.i3d.config import I3DConfig
from talaria_models.registry import build

MICRO = Path(__file__).resolve().parents[2] / "e2e" / "micro.yaml"
DATASET = Dataset(("jump", "run"), (Video("a", None, "training", 9.0, ()),))
SIZES = {"num_classes": 3, "num_frames": 8, "height": 24, "width": 32}


def checkpoint(folder: Path, modality: Literal["rgb", "flow"]) -> Path:
    """An untrained I3D."""
    config = I3DConfig(modality=modality, width=8)
    card = {"classes": ["jump", "run"], "feature_dim": 128}
    folder.mkdir()
    save_model(folder, build(config, **SIZES), SavedModel(config, SIZES, card))
    return folder


def session(home: Path, weights: Path, flow: dict[str, Any] | None) -> Session:
    """The micro recipe with an I3D that extracts with a checkpoint as it is."""
    tree = yaml.safe_load(MICRO.read_text("utf-8"))
    node = tree["backbones"]["slowfast"]
    node |= {"model": {"name": "i3d", "width": 8, "modality": "flow" if flow else "rgb"}, "finetune": None}
    node |= {"checkpoint": str(weights), "clip": {**node["clip"], "flow": flow}}
    path = home / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree), "utf-8")
    return Session(load_recipe(path), home, {})


def test_the_contract_says_which_flow_a_backbone_is_given(tmp_path: Path) -> None:
    contracts = {}
    for modality, flow in (("flow", {"bound_px": 10}), ("rgb", None)):
        made = session(tmp_path, checkpoint(tmp_path / modality, modality), flow)
        folder = starting_weights(made, DATASET)["slowfast"]
        contracts[modality] = make_contract(made.config.backbones["slowfast"], folder, DATASET)
    assert contracts["flow"].flow == {"method": "dis", "bound_px": 10.0}
    assert "flow" not in plain(contracts["rgb"])
    store = FeatureStore(tmp_path / "features")
    for contract in contracts.values():
        store.write_contract(contract)
        assert store.contract == contract


@pytest.mark.parametrize(
    ("modality", "flow", "sentence"),
    [
        ("flow", None, "its i3d is given flow, but backbones.slowfast.clip makes clips of colours"),
        (
            "rgb",
            {"method": "dis"},
            "its i3d is given colours, but backbones.slowfast.clip makes clips of flow",
        ),
    ],
)
def test_a_checkpoint_of_the_other_modality_is_refused(
    tmp_path: Path, modality: Literal["rgb", "flow"], flow: dict[str, Any] | None, sentence: str
) -> None:
    made = session(tmp_path, checkpoint(tmp_path / "i3d", modality), flow)
    with pytest.raises(DataError, match=sentence):
        starting_weights(made, DATASET)
