"""Saved models: every model of the registry comes back as it was, and nothing else passes for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from talaria.errors import DataError
from talaria.store.checkpoint import (
    SavedModel,
    load_model,
    load_state,
    load_weights,
    read_card,
    save_model,
    save_state,
    weights_digest,
)
from talaria_models import registry
from talaria_models.backbones.csn import config as csn
from talaria_models.backbones.i3d import config as i3d
from talaria_models.backbones.slowfast import config as slowfast
from talaria_models.backbones.timesformer import config as timesformer
from talaria_models.backbones.videomae import config as videomae
from talaria_models.backbones.vivit import config as vivit
from talaria_models.bmn.config import BMNConfig
from talaria_models.classifier.config import ClassifierConfig
from talaria_models.kt_mgfn.config import KTMGFNConfig
from talaria_models.refine_network.config import RefineNetworkConfig
from talaria_models.s_2d_tan.config import S2DTANConfig
from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.tcanet.config import TCANetConfig

CLIP = {"num_classes": 3, "num_frames": 8, "height": 16, "width": 16}
MODELS: dict[str, tuple[Any, dict[str, int]]] = {
    "slowfast": (slowfast.TINY, {**CLIP, "height": 32, "width": 32}),
    "vivit": (vivit.TINY, CLIP),
    "csn": (csn.TINY, CLIP),
    "i3d": (i3d.TINY, CLIP),
    "timesformer": (timesformer.TINY, {**CLIP, "height": 32, "width": 32}),
    "videomae": (videomae.TINY, {**CLIP, "height": 32, "width": 32}),
    "bmn": (
        BMNConfig(num_snippets=8, hidden_dim_1d=8, hidden_dim_2d=4, hidden_dim_3d=8, num_samples=4),
        {"in_channels": 4},
    ),
    "tcanet": (
        TCANetConfig(hidden_dim=16, boundary_dim=8, segment_dim=8, feedforward_dim=8),
        {"in_channels": 4},
    ),
    "refine_network": (
        RefineNetworkConfig(hidden_dim=8, head_dim=8, transformer_feedforward_dim=8, num_bins=2),
        {"in_channels": 4},
    ),
    "s_2d_tan": (
        S2DTANConfig(num_snippets=8, hidden_dim=4, kernel_size=3, num_layers=1),
        {"in_channels": 4, "num_classes": 3},
    ),
    "kt_mgfn": (
        KTMGFNConfig(num_snippets=8, hidden_dim=4, regressor_dim=4),
        {"in_channels": 4, "num_classes": 3},
    ),
    "sp_tad": (
        SPTADConfig(
            crop_size=16,
            window_frames=16,
            train_stride=8,
            infer_stride=8,
            streams=("rgb",),
            backbone_width=8,
            hidden_dim=8,
            num_proposals=2,
            num_stages=1,
            attention_heads=2,
            dynamic_dim=2,
            num_bins=2,
            feedforward_dim=4,
        ),
        {"num_classes": 3},
    ),
    "classifier": (ClassifierConfig(hidden_dim=4), {"in_channels": 4, "num_classes": 3}),
}
CARD = {"classes": ["jump", "run"], "contract": {"fps": 10.0}}


def saved_model(folder: Path, name: str) -> tuple[torch.nn.Module, SavedModel]:
    torch.manual_seed(3)
    config, sizes = MODELS[name]
    model = registry.build(config, **sizes)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(torch.rand_like(tensor))
    saved = SavedModel(config, sizes, CARD)
    save_model(folder, model, saved)
    return model, saved


def test_every_model_of_the_registry_is_tried_here() -> None:
    for name in MODELS:
        assert registry.config_from_dict({"name": name}).name == name
    with pytest.raises(ValueError, match=f"expected one of {', '.join(sorted(MODELS))}$"):
        registry.config_from_dict({"name": "absent"})


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    model, saved = saved_model(tmp_path, name)
    loaded, card = load_model(tmp_path)
    assert card == saved
    assert not loaded.training
    state = model.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    for key, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, state[key]), key


def test_the_digest_follows_the_weights(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        model, saved = saved_model(tmp_path / folder, "bmn")
    assert weights_digest(tmp_path / "a") == weights_digest(tmp_path / "b")
    next(model.parameters()).data.view(-1)[0] += 1e-3
    save_model(tmp_path / "b", model, saved)
    assert weights_digest(tmp_path / "a") != weights_digest(tmp_path / "b")
    assert len(weights_digest(tmp_path / "a")) == 16


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    saved_model(tmp_path / "bmn", "bmn")
    with pytest.raises(
        DataError, match=r"model\.safetensors: weights of another network; .*base\.conv1\.bias"
    ):
        load_weights(registry.build(*MODELS["classifier"][:1], **MODELS["classifier"][1]), tmp_path / "bmn")
    config, _ = MODELS["bmn"]
    with pytest.raises(DataError, match=r"names that do not fit: base\.conv1\.weight$"):
        load_weights(registry.build(config, in_channels=8), tmp_path / "bmn")


@pytest.mark.parametrize("content", [None, b"", b"\x08\0\0\0\0\0\0\0{}      ", b"garbage that is no header"])
def test_damaged_weights_are_an_error(tmp_path: Path, content: bytes | None) -> None:
    model, _ = saved_model(tmp_path, "classifier")
    (tmp_path / "model.safetensors").unlink()
    if content is not None:
        (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=r"model\.safetensors: "):
        load_weights(model, tmp_path)


def test_cut_weights_are_an_error(tmp_path: Path) -> None:
    saved_model(tmp_path, "classifier")
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "content",
    [None, "", "[]", "{}", '{"model": {"name": "absent"}, "sizes": {}, "card": {}}',
     '{"model": {"name": "bmn", "num_snippets": 0}, "sizes": {}, "card": {}}',
     '{"model": {"name": "bmn", "unknown": 0}, "sizes": {}, "card": {}}'],
)  # fmt: skip
def test_a_folder_without_a_model_is_an_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    with pytest.raises(DataError, match=r"model\.json: is no model card"):
        read_card(tmp_path)


def test_the_card_is_plain_json(tmp_path: Path) -> None:
    saved_model(tmp_path, "slowfast")
    card = json.loads((tmp_path / "model.json").read_text())
    assert card["model"]["name"] == "slowfast"
    assert card["sizes"]["num_classes"] == 3
    assert card["card"] == CARD


def test_a_training_goes_on_from_its_state(tmp_path: Path) -> None:
    def stepped(model: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.ones(2, 3)).square().sum().backward()
            optimizer.step()

    def fresh() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(1)
        model = torch.nn.Linear(3, 2)
        return model, torch.optim.AdamW(model.parameters(), lr=0.1)

    whole, optimizer = fresh()
    stepped(whole, optimizer, 4)
    first, optimizer = fresh()
    stepped(first, optimizer, 2)
    save_state(tmp_path, first, optimizer, epoch=1)
    second, optimizer = fresh()
    assert load_state(tmp_path, second, optimizer) == 2
    stepped(second, optimizer, 2)
    assert torch.equal(second.weight, whole.weight)
