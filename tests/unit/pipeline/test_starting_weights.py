"""What backbones start from: published files become models of ours, once, by content."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from talaria.config.loading import load_recipe
from talaria.errors import ConfigError, DataError, DriftError, TalariaError
from talaria.pipeline.backbones import make_contract
from talaria.pipeline.session import Session
from talaria.pipeline.weights import model_folder, starting_weights
from talaria.records import Dataset, Video
from talaria.store.checkpoint import load_model, read_card, weights_digest
from talaria_models.backbones.slowfast.config import SlowFastConfig
from talaria_models.registry import build

MICRO = Path(__file__).resolve().parents[2] / "e2e" / "micro.yaml"
DATASET = Dataset(("jump", "run"), (Video("a", None, "training", 9.0, ()),))
EXTRACTION = ("backbones.slowfast.finetune=null",)


def published(num_classes: int, **changes: Any) -> dict[str, Tensor]:
    """Weights of the micro recipe's backbone, changed, in pytorchvideo's layout."""
    node = load_recipe(MICRO).backbones["slowfast"]
    assert isinstance(node.model, SlowFastConfig)
    torch.manual_seed(5)
    model = build(replace(node.model, **changes), num_classes=num_classes, num_frames=32, height=64, width=64)
    return {_pytorchvideo(key): value.contiguous() for key, value in model.state_dict().items()}


def _pytorchvideo(key: str) -> str:
    parts = key.split(".")
    if parts[0] == "head":
        return f"blocks.6.proj.{parts[1]}"
    if parts[0] == "laterals":
        kind = {"conv": "conv_fast_to_slow"}.get(parts[2], parts[2])
        return f"blocks.{parts[1]}.multipathway_fusion.{kind}.{parts[3]}"
    pathway = f"multipathway_blocks.{int(parts[0] == 'fast')}"
    if parts[1] == "stem":
        return f"blocks.0.{pathway}.{parts[2]}.{parts[3]}"
    stage, block, part, kind, leaf = parts[2:]
    branch = f"branch1_{kind}" if part == "shortcut" else f"branch2.{kind}_{part}"
    return f"blocks.{int(stage) + 1}.{pathway}.res_blocks.{block}.{branch}.{leaf}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A published file with five classes."""
    path = tmp_path / "SLOWFAST.pyth"
    torch.save({"model_state": published(5), "epoch": 196, "cfg": "MODEL:"}, path)
    return path


def session(home: Path, *settings: str) -> Session:
    return Session(load_recipe(MICRO, settings), home / "home", {})


def started(home: Path, *settings: str) -> Path:
    return starting_weights(session(home, *settings), DATASET)["slowfast"]


def refusal(home: Path, *settings: str) -> str:
    with pytest.raises(TalariaError) as refused:
        started(home, *settings)
    assert not list((home / "home").rglob("record.json"))
    return str(refused.value)


def test_extraction_keeps_the_classifier_and_its_classes(tmp_path: Path, file: Path) -> None:
    settings = (*EXTRACTION, f"backbones.slowfast.published.file={file}")
    folder = started(tmp_path, *settings)
    model, saved = load_model(folder)
    assert saved.sizes == {"num_classes": 5, "num_frames": 8, "height": 24, "width": 32}
    assert torch.equal(model.head.weight, published(5)["blocks.6.proj.weight"])
    assert saved.card["classes"] == [f"class_{index:03d}" for index in range(5)]
    assert folder == model_folder(tmp_path / "home/runs/micro", load_recipe(MICRO, settings), "slowfast")


def test_fine_tuning_gets_everything_but_the_classifier(tmp_path: Path, file: Path) -> None:
    given = f"backbones.slowfast.published.file={file}"
    model, saved = load_model(started(tmp_path / "a", given))
    again, _ = load_model(started(tmp_path / "b", given))
    other, _ = load_model(started(tmp_path / "c", given, "run.seed=1"))
    assert saved.sizes["num_classes"] == len(DATASET.classes) + 1
    assert torch.equal(
        model.slow.stem.conv.weight, published(5)["blocks.0.multipathway_blocks.0.conv.weight"]
    )
    assert torch.equal(model.head.weight, again.head.weight)
    assert not torch.equal(model.head.weight, other.head.weight)


def test_fine_tuning_may_see_clips_of_another_size(tmp_path: Path, file: Path) -> None:
    size = ("backbones.slowfast.finetune.height=48", "backbones.slowfast.finetune.width=40")
    saved = read_card(started(tmp_path, f"backbones.slowfast.published.file={file}", *size))
    assert saved.sizes == {"num_classes": 3, "num_frames": 8, "height": 48, "width": 40}


def test_the_file_is_in_the_card_and_the_contract(tmp_path: Path, file: Path) -> None:
    made = session(tmp_path, *EXTRACTION, f"backbones.slowfast.published.file={file}")
    folder = starting_weights(made, DATASET)["slowfast"]
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert read_card(folder).card["published"] == {"sha256": sha256, "source": str(file)}
    contract = make_contract(made.config.backbones["slowfast"], folder, DATASET)
    assert contract.published == sha256
    assert contract.weights == weights_digest(folder)


def test_finished_work_needs_neither_file_nor_network(tmp_path: Path, file: Path) -> None:
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    settings = (f"backbones.slowfast.published={{file: {file}, sha256: {sha256}}}",)
    folder = started(tmp_path, *settings)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    file.unlink()
    assert started(tmp_path, *settings) == folder
    gone = f"backbones.slowfast.published={{url: 'https://nowhere.invalid/x.pyth', sha256: {sha256}}}"
    assert started(tmp_path, gone) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_url_is_downloaded_into_the_homes_cache(tmp_path: Path, file: Path) -> None:
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    started(tmp_path, f"backbones.slowfast.published={{url: '{file.as_uri()}', sha256: {sha256}}}")
    assert (tmp_path / "home/cache/weights" / sha256 / file.name).read_bytes() == file.read_bytes()


def test_another_file_drifts(tmp_path: Path, file: Path) -> None:
    setting = f"backbones.slowfast.published.file={file}"
    started(tmp_path, setting)
    save_file(published(4), file)
    with pytest.raises(DriftError, match="weights/slowfast was made with other settings: file was"):
        started(tmp_path, setting)


def test_class_names_from_a_file(tmp_path: Path, file: Path) -> None:
    (tmp_path / "names.txt").write_text("".join(f"{number} act {number}\n" for number in range(5)))
    settings = [
        *EXTRACTION,
        f"backbones.slowfast.published={{file: {file}, classes: {tmp_path / 'names.txt'}}}",
    ]
    assert read_card(started(tmp_path, *settings)).card["classes"] == [f"act {number}" for number in range(5)]


def test_too_few_class_names(tmp_path: Path, file: Path) -> None:
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    settings = [
        *EXTRACTION,
        f"backbones.slowfast.published={{file: {file}, classes: {tmp_path / 'names.txt'}}}",
    ]
    with pytest.raises(ConfigError, match=r"published\.classes: .* names 2 classes, but .* has 5"):
        started(tmp_path, *settings)


def test_a_file_that_is_not_the_one_expected(tmp_path: Path, file: Path) -> None:
    wrong = "f" * 64
    found = refusal(tmp_path, f"backbones.slowfast.published={{file: {file}, sha256: {wrong}}}")
    assert f"expected {wrong} (backbones.slowfast.published.sha256); correct" in found
    assert hashlib.sha256(file.read_bytes()).hexdigest() in found


@pytest.mark.parametrize("settings", [(), EXTRACTION])
@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"conv1.weight": torch.zeros(1)}, "no known SlowFast layout: expected one of the keys"),
        (published(5, width=8), r"of another shape: blocks.0.multipathway_blocks.0.conv.weight (8,"),
        (published(5, blocks=(2, 1, 1, 1)), "unknown: blocks.1.multipathway_blocks.0.res_blocks.1.branch2"),
        (
            {key: value for key, value in published(5).items() if "fusion" not in key},
            "missing: laterals.0.conv.weight",
        ),
    ],
)
def test_another_network_is_named_by_its_keys(
    tmp_path: Path, settings: tuple[str, ...], weights: dict[str, Tensor], words: str
) -> None:
    save_file(weights, tmp_path / "other.safetensors")
    found = refusal(
        tmp_path, *settings, f"backbones.slowfast.published.file={tmp_path / 'other.safetensors'}"
    )
    assert words in found
    assert "blocks.6" not in found
    assert "correct backbones.slowfast.published or the model's settings" in found


def test_a_file_without_a_classifier_serves_fine_tuning_alone(tmp_path: Path) -> None:
    weights = {key: value for key, value in published(5).items() if "blocks.6" not in key}
    save_file(weights, tmp_path / "headless.safetensors")
    setting = f"backbones.slowfast.published.file={tmp_path / 'headless.safetensors'}"
    assert "2 missing: head.bias, head.weight" in refusal(tmp_path / "a", *EXTRACTION, setting)
    assert started(tmp_path / "b", setting)


def test_a_missing_file_and_a_folder_that_is_no_checkpoint(tmp_path: Path) -> None:
    absent = tmp_path / "absent.pth"
    found = refusal(tmp_path, f"backbones.slowfast.published.file={absent}")
    assert (
        found
        == f"{absent}: is no file; expected published weights; correct backbones.slowfast.published.file"
    )
    with pytest.raises(DataError, match="is no model card"):
        started(tmp_path, f"backbones.slowfast.checkpoint={tmp_path}")


def test_no_backbone_starts_from_weights(tmp_path: Path) -> None:
    assert starting_weights(session(tmp_path), DATASET) == {}
    assert not (tmp_path / "home").exists()
