"""Stage `weights`: what backbones start from. Published files become models of ours, once, on the driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from talaria.config.nodes import BackboneNode
from talaria.config.published import PublishedSpec
from talaria.config.schema import RunConfig
from talaria.config.specs import ClipSpec
from talaria.data.classes import read_classes
from talaria.errors import ConfigError, DataError
from talaria.log import BOARD
from talaria.pipeline.session import Session
from talaria.records import Dataset
from talaria.seeds import content_seed
from talaria.store.artifact import Artifact
from talaria.store.checkpoint import SavedModel, read_card, save_model
from talaria.store.download import fetch, file_sha256
from talaria.store.published import read_published
from talaria_models.backbones.flow import sees_flow
from talaria_models.backbones.published import published_classes
from talaria_models.registry import build, published_loader

STAGE = "weights"
ORIGIN = "published"
"""Key of a model card: the published file that its weights come from, by its `sha256` and `source`."""
_MIB = 20


@dataclass(frozen=True)
class _Conversion:
    """A published file and the model that is made of it; `num_classes` None keeps the file's classifier."""

    artifact: Artifact
    setting: str
    node: BackboneNode
    spec: PublishedSpec
    sha256: str
    num_classes: int | None
    classes: tuple[str, ...] | None
    seed: int | None


def starting_weights(session: Session, dataset: Dataset) -> dict[str, Path]:
    """The folders of the models that backbones start from; none for those that are trained from scratch.

    Raises:
        ConfigError: a class list of another length than the file's classifier.
        DataError: a file that is missing, damaged, not the one expected, or of another network.
    """
    folders: dict[str, Path] = {}
    for name, node in session.config.backbones.items():
        if node.checkpoint is not None:
            folders[name] = Path(node.checkpoint).expanduser().resolve()
            _check_modality(folders[name], f"backbones.{name}", node)
        elif node.published is not None:
            conversion = _conversion(session, name, node, node.published, dataset)
            folders[name] = conversion.artifact.folder
            if conversion.artifact.finished():
                session.skipped(STAGE, name)
            else:
                _convert(session, conversion)
    return folders


def _check_modality(folder: Path, setting: str, node: BackboneNode) -> None:
    config = read_card(folder).config
    if sees_flow(config) != (node.clip.flow is not None):
        given, clips = ("flow", "colours") if sees_flow(config) else ("colours", "flow")
        raise DataError(
            f"{folder}: its {config.name} is given {given}, but {setting}.clip makes clips of {clips}; "
            f"correct {setting}.checkpoint or {setting}.clip.flow"
        )


def origin(folder: Path | None) -> dict[str, Any]:
    """The entry of a model's card that tells from which published file it comes; empty where from none."""
    card = read_card(folder).card if folder else {}
    return {ORIGIN: card[ORIGIN]} if ORIGIN in card else {}


def model_folder(run_folder: Path, config: RunConfig, backbone: str) -> Path:
    """Where the weights lie that a run extracts the features of a backbone with."""
    node = config.backbones[backbone]
    if node.finetune is not None:
        return run_folder / "finetune" / backbone
    if node.checkpoint is not None:
        return Path(node.checkpoint).expanduser().resolve()
    return run_folder / STAGE / backbone


def model_sizes(clip: ClipSpec, num_classes: int) -> dict[str, int]:
    """What the clips and the classes decide of a backbone."""
    return {
        "num_classes": num_classes,
        "num_frames": clip.num_frames,
        "height": clip.height,
        "width": clip.width,
    }


def _conversion(
    session: Session, name: str, node: BackboneNode, spec: PublishedSpec, dataset: Dataset
) -> _Conversion:
    setting = f"backbones.{name}.published"
    sha256 = spec.sha256 or file_sha256(_local(spec, setting))
    tuned = node.finetune is not None
    num_classes = len(dataset.classes) + 1 if tuned else None
    seed = content_seed(session.config.run.seed, STAGE, name) if tuned else None
    classes = read_classes(Path(spec.classes).expanduser()) if spec.classes else None
    clip = node.finetune_clip
    fields = {
        "file": sha256,
        "model": node.model,
        "clip_size": (clip.num_frames, clip.height, clip.width),
        "new_classifier": {"num_classes": num_classes, "seed": seed} if tuned else None,
        "classes": classes,
    }
    artifact = session.artifact(STAGE, name, "1", fields)
    return _Conversion(artifact, setting, node, spec, sha256, num_classes, classes, seed)


def _convert(session: Session, conversion: _Conversion) -> None:
    with session.stage(STAGE, f"{conversion.artifact.folder.name}: {_source(conversion.spec)}"):
        path = _obtained(session, conversion)
        weights = read_published(path, f"{conversion.setting}.{'file' if conversion.spec.file else 'url'}")
        try:
            model, saved = _model(conversion, weights)
        except ValueError as error:
            raise DataError(
                f"{path}: {error}; correct {conversion.setting} or the model's settings"
            ) from None
        conversion.artifact.begin()
        save_model(conversion.artifact.folder, model, saved)
        conversion.artifact.commit(**saved.card[ORIGIN])


def _obtained(session: Session, conversion: _Conversion) -> Path:
    """The file on this machine, its content checked."""
    spec, setting = conversion.spec, conversion.setting
    if spec.url is None:
        path = _local(spec, setting)
    else:
        with BOARD.step("download (MiB)", 0) as step:
            path = fetch(
                spec.url,
                conversion.sha256,
                session.home / "cache" / STAGE,
                setting,
                lambda done, total: step.resize(done >> _MIB, total >> _MIB),
            )
    if (found := file_sha256(path)) != conversion.sha256:
        raise DataError(
            f"{path}: found sha256 {found}, expected {conversion.sha256} ({setting}.sha256); "
            + ("delete it to download it again" if spec.url else f"correct {setting}")
        )
    return path


def _local(spec: PublishedSpec, setting: str) -> Path:
    path = Path(str(spec.file)).expanduser().resolve()
    if not path.is_file():
        raise DataError(f"{path}: is no file; expected published weights; correct {setting}.file")
    return path


def _model(conversion: _Conversion, weights: Mapping[str, Tensor]) -> tuple[torch.nn.Module, SavedModel]:
    """The network with the file's weights, and its card.

    Raises:
        ValueError: the weights are of another network.
    """
    node, clip = conversion.node, conversion.node.finetune_clip
    load = published_loader(node.model)
    keeps_classifier = conversion.num_classes is None
    num_classes = conversion.num_classes
    if num_classes is None:
        with torch.device("meta"):
            num_classes = published_classes(load, build(node.model, **model_sizes(clip, 1)), weights)
    sizes = model_sizes(clip, num_classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(conversion.seed or 0)
        model: Any = build(node.model, **sizes)
    load(model, weights, head=keeps_classifier)
    names = conversion.classes or tuple(f"class_{index:03d}" for index in range(num_classes))
    if keeps_classifier and len(names) != num_classes:
        raise ConfigError(
            f"{conversion.setting}.classes: {conversion.spec.classes} names {len(names)} classes, but the "
            f"file's classifier has {num_classes}"
        )
    card: dict[str, Any] = {
        "classes": names if keeps_classifier else (),
        "feature_dim": int(model.feature_dim),
        "clip": clip,
        ORIGIN: {"sha256": conversion.sha256, "source": _source(conversion.spec)},
    }
    return model, SavedModel(node.model, sizes, card)


def _source(spec: PublishedSpec) -> str:
    return spec.url or str(Path(str(spec.file)).expanduser().resolve())
