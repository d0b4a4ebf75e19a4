"""Files of weights as others publish them: what is read, and the one sentence for what is not."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from talaria.errors import DataError
from talaria.store.published import read_published

WEIGHTS = OrderedDict(a=torch.arange(6.0).view(2, 3), b=torch.tensor([1, 2]))
SETTING = "backbones.slow.published.file"


class Sentinel:
    """An object that would run code of ours if it were unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return exec, ("raise SystemExit('unpickled')",)


def old_torch(value: object, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def sentence(path: Path) -> str:
    with pytest.raises(DataError) as refused:
        read_published(path, SETTING)
    (problem,) = refused.value.problems
    assert problem.startswith(f"{path}: ")
    assert SETTING in problem
    return problem


@pytest.mark.parametrize("write", [torch.save, old_torch])
@pytest.mark.parametrize(
    "value",
    [
        WEIGHTS,
        {"state_dict": WEIGHTS, "meta": {"epoch": 3, "lr": [0.1]}},
        {"model_state": {f"module.{key}": value for key, value in WEIGHTS.items()}, "cfg": "text"},
    ],
)
def test_torch_files_of_any_age_and_container(
    tmp_path: Path, write: Callable[[object, Path], None], value: object
) -> None:
    write(value, tmp_path / "net.whatever")
    found = read_published(tmp_path / "net.whatever", SETTING)
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[key], WEIGHTS[key]) for key in WEIGHTS)


def test_safetensors_by_any_name(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "net.bin")
    found = read_published(tmp_path / "net.bin", SETTING)
    assert all(torch.equal(found[key], WEIGHTS[key]) for key in WEIGHTS)


@pytest.mark.parametrize("write", [torch.save, old_torch])
def test_objects_are_named_and_never_made(tmp_path: Path, write: Callable[[object, Path], None]) -> None:
    path = tmp_path / "unsafe.pth"
    write({"state_dict": WEIGHTS, "meta": Sentinel()}, path)
    assert "holds more than tensors (exec), and reading that could run any code" in sentence(path)


def test_a_pickle_that_torch_did_not_write(tmp_path: Path) -> None:
    path = tmp_path / "caffe2.pkl"
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": np.zeros(3)}}, protocol=2))
    assert "is damaged, cut off, or not of torch" in sentence(path) or "numpy" in sentence(path)


@pytest.mark.parametrize("write", [torch.save, old_torch, save_file])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_a_file_that_is_cut_off(tmp_path: Path, write: Callable[[Any, Path], None], kept: float) -> None:
    path = tmp_path / "short"
    write({key: torch.randn(20_000) for key in "abc"}, path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert "is damaged, cut off, or not of torch" in sentence(path)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"version https://git-lfs.github.com/spec/v1"])
def test_what_is_no_checkpoint_shows_its_beginning(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.pth"
    path.write_bytes(content)
    assert f"is no checkpoint, it begins with {content[:9]!r}" in sentence(path)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"net": WEIGHTS, "epoch": 3}, "but net, epoch"),
        ({}, "but nothing"),
        ({"state_dict": {}}, "but state_dict"),
        ([1, 2], "but a list"),
        ({0: torch.zeros(1)}, "but 0"),
        (torch.zeros(2), "but a Tensor"),
    ],
)
def test_a_file_without_named_weights(tmp_path: Path, value: object, words: str) -> None:
    torch.save(value, tmp_path / "odd.pth")
    assert f"holds no weights by name, {words}" in sentence(tmp_path / "odd.pth")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "cannot be read (No such file or directory)" in sentence(tmp_path / "absent")
    assert "cannot be read (Is a directory)" in sentence(tmp_path)
