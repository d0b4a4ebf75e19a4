"""A small whole recipe and ways to change it, shared by the tests of this folder."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from talaria.config.loading import load_recipe
from talaria.errors import ConfigError

SMALL: dict[str, Any] = {
    "run": {"name": "small"},
    "data": {"generate": {"seed": 7}},
    "backbones": {
        "slowfast": {
            "model": {"name": "slowfast", "width": 8, "beta_inv": 4},
            "clip": {"fps": 10, "num_frames": 16, "stride_frames": 4, "height": 48, "width": 64},
        }
    },
    "classifiers": {"video": {}},
    "detectors": {
        "bmn": {"model": {"name": "bmn", "num_snippets": 16, "hidden_dim_1d": 32}},
        "bmn_long": {"model": {"name": "bmn", "num_snippets": 32}},
    },
}


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """SMALL with some dotted paths set; a value of Ellipsis removes the key."""
    tree = copy.deepcopy(SMALL)
    for path, value in changes.items():
        *parents, leaf = path.split("/")
        below = tree
        for parent in parents:
            below = below.setdefault(parent, {})
        if value is ...:
            del below[leaf]
        else:
            below[leaf] = value
    return tree


def written(folder: Path, tree: Any, name: str = "recipe.yaml") -> Path:
    """`tree` as a YAML file."""
    path = folder / name
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


def problems(path: Path, *flags: str) -> list[str]:
    """The sentences with which a recipe is refused."""
    with pytest.raises(ConfigError) as caught:
        load_recipe(path, flags)
    return list(caught.value.problems)
