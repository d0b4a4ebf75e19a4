"""Models on disk: safetensors for weights, JSON for everything else; nothing is unpickled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from talaria.config.fingerprint import plain
from talaria.errors import DataError
from talaria.store.files import read_json, write_json, written_aside
from talaria_models.registry import FIXED_SIZE, ModelConfig, build, config_from_dict

WEIGHTS = "model.safetensors"
CARD = "model.json"
_STATE = "training_state.pt"


@dataclass(frozen=True)
class SavedModel:
    """What lies beside the weights.

    Attributes:
        config: the model's config.
        sizes: what the data decided when it was built.
        card: facts for consumers: classes, feature contract, ...
    """

    config: ModelConfig
    sizes: dict[str, int]
    card: dict[str, Any]


def save_model(folder: Path, model: nn.Module, saved: SavedModel) -> None:
    """Write weights and card, each atomically, the card last."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with written_aside(folder / WEIGHTS) as aside:
        save_file(state, aside)
    write_json(
        folder / CARD,
        {"model": plain(saved.config), "sizes": saved.sizes, "card": plain(saved.card)},
    )


def read_card(folder: Path) -> SavedModel:
    """The card of a saved model.

    Raises:
        DataError: the folder holds no model, or one that this version does not know.
    """
    path = folder / CARD
    try:
        fields = read_json(path)
        return SavedModel(config_from_dict(fields["model"]), fields["sizes"], fields["card"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: is no model card ({error}); expected a folder written by training"
        ) from None


def load_weights(model: nn.Module, folder: Path, *, but_for: str | None = None) -> None:
    """Fill `model` from a saved one.

    Args:
        but_for: names that begin so keep what they have.

    Raises:
        DataError: the weights are those of another network; missing and unknown names are given.
    """
    path = folder / WEIGHTS
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: cannot be read as safetensors ({error})") from None
    own = model.state_dict()
    if but_for is not None:
        kept = {key: value for key, value in own.items() if key.startswith(but_for)}
        state = {key: value for key, value in state.items() if not key.startswith(but_for)} | kept
    wrong = sorted(own.keys() ^ state.keys()) or sorted(k for k in own if own[k].shape != state[k].shape)
    if wrong:
        raise DataError(f"{path}: weights of another network; names that do not fit: {', '.join(wrong[:6])}")
    model.load_state_dict(state)


def load_model(folder: Path, **sizes: int) -> tuple[nn.Module, SavedModel]:
    """A saved model in evaluation mode, on the CPU.

    Args:
        folder: written by training.
        sizes: what replaces the sizes that it was trained with, such as height and width of its clips.

    Raises:
        DataError: no model, or one whose weights serve no other size than its own.
    """
    saved = read_card(folder)
    other = [f"{size} {value}" for size, value in sizes.items() if saved.sizes.get(size) != value]
    if other and saved.config.name in FIXED_SIZE:
        had = ", ".join(f"{size} {saved.sizes.get(size)}" for size in sizes)
        raise DataError(
            f"{folder}: {saved.config.name} was trained on {had}, found {', '.join(other)} in clip"
        )
    model = build(saved.config, **{**saved.sizes, **sizes})
    load_weights(model, folder)
    return model.eval(), saved


def weights_digest(folder: Path) -> str:
    """16 hex digits of the weights file's content."""
    digest = hashlib.sha256()
    with (folder / WEIGHTS).open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()[:16]


def save_state(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> None:
    """Everything a killed training needs to go on after `epoch`."""
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}, folder / _STATE
    )


def load_state(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore and return the first epoch still to do."""
    state = torch.load(folder / _STATE, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"]) + 1
