"""Fine-tuning at a size of its own: what is cut, what is shared, and what the features' contract says."""

from __future__ import annotations

from pathlib import Path

import torch

from talaria.config.loading import load_recipe
from talaria.pipeline.backbones import ClipSet, clip_sets, make_contract
from talaria.pipeline.session import Session
from talaria.records import Dataset, Video
from talaria.store.checkpoint import SavedModel, save_model
from talaria_models.registry import build

MICRO = Path(__file__).resolve().parents[2] / "e2e" / "micro.yaml"
DATASET = Dataset(("jump", "run"), (Video("a", None, "training", 9.0, ()),))
TUNED = ("backbones.slowfast.finetune.height=32", "backbones.slowfast.finetune.width=40")


def session(home: Path, *settings: str) -> Session:
    return Session(load_recipe(MICRO, settings), home, {})


def clips(home: Path, *settings: str) -> ClipSet:
    return clip_sets(session(home, *settings), DATASET)["slowfast"]


def test_clips_are_cut_at_the_size_of_the_fine_tuning(tmp_path: Path) -> None:
    ours, plain = clips(tmp_path, *TUNED), clips(tmp_path)
    assert (ours.plan.spec.height, ours.plan.spec.width) == (32, 40)
    assert (plain.plan.spec.height, plain.plan.spec.width) == (24, 32)
    assert ours.artifact.folder != plain.artifact.folder


def test_the_same_size_said_twice_is_the_same_work(tmp_path: Path) -> None:
    said = clips(tmp_path, "backbones.slowfast.finetune.height=24", "backbones.slowfast.finetune.width=32")
    plain = clips(tmp_path)
    assert (said.plan, said.artifact.fingerprint) == (plain.plan, plain.artifact.fingerprint)


def test_the_contract_has_the_size_of_the_extraction(tmp_path: Path) -> None:
    node = session(tmp_path, *TUNED).config.backbones["slowfast"]
    sizes = {"num_classes": 3, "num_frames": 8, "height": 32, "width": 40}
    torch.manual_seed(0)
    model = build(node.model, **sizes)
    card = {"classes": ("jump", "run"), "feature_dim": 192}
    save_model(tmp_path / "model", model, SavedModel(node.model, sizes, card))
    contract = make_contract(node, tmp_path / "model", DATASET)
    assert (contract.height, contract.width) == (24, 32)
