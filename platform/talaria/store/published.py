"""Reading checkpoint files as others published them: safetensors, or torch files without a single object.

The content tells the format, not the name. Nothing is unpickled but tensors and plain values.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from talaria.errors import DataError
from talaria_models.backbones.published import CONTAINERS, weights_of

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_HEADER_BYTES = 9  # of safetensors: the header's length, then its first character
_DAMAGED = (RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError)


def read_published(path: Path, setting: str) -> dict[str, Tensor]:
    """The weights in a published file by their published keys.

    Args:
        path: of any name.
        setting: where the recipe names the file, for errors.

    Raises:
        DataError: no such file, no checkpoint, a damaged one, or one with other objects than tensors.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); correct {setting}") from None
    if head.startswith((_ZIP, _PICKLE)):
        found = _read_torch(path, setting)
    elif head[-1:] == b"{":
        found = _read_safetensors(path, setting)
    else:
        raise DataError(
            f"{path}: is no checkpoint, it begins with {head!r}; {setting} takes a safetensors or torch file"
        )
    named = isinstance(found, dict) and all(isinstance(key, str) for key in found)
    weights = weights_of(found) if named else {}
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise DataError(
            f"{path}: holds no weights by name, but {_described(found)}; {setting} takes a state_dict, bare "
            f"or under one of {', '.join(CONTAINERS)}"
        )
    return weights


def _read_torch(path: Path, setting: str) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        objects = re.search(r"GLOBAL (\S+)", str(error))
        if objects is None:
            raise _damaged(path, setting) from None
        raise DataError(
            f"{path}: holds more than tensors ({objects[1]}), and reading that could run any code; where you "
            f"trust the file, save its state_dict alone as safetensors and set {setting} to that"
        ) from None
    except _DAMAGED:
        raise _damaged(path, setting) from None


def _read_safetensors(path: Path, setting: str) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = load_file(path)
        return weights
    except (OSError, SafetensorError):
        raise _damaged(path, setting) from None


def _damaged(path: Path, setting: str) -> DataError:
    size = path.stat().st_size
    return DataError(
        f"{path}: is damaged, cut off, or not of torch ({size:,} bytes); get it again, or correct {setting}"
    )


def _described(found: Any) -> str:
    if not isinstance(found, dict):
        return f"a {type(found).__name__}"
    return f"{', '.join(map(str, list(found)[:4]))}" if found else "nothing"
