"""Every model by the `name` in its config: one table, read top to bottom.

Config classes are imported here without torch; a model's code is imported when it is built.
"""

from __future__ import annotations

import dataclasses
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from talaria_models.backbones.csn.config import CSNConfig
from talaria_models.backbones.i3d.config import I3DConfig
from talaria_models.backbones.slowfast.config import SlowFastConfig
from talaria_models.backbones.timesformer.config import TimeSformerConfig
from talaria_models.backbones.videomae.config import VideoMAEConfig
from talaria_models.backbones.vivit.config import ViViTConfig
from talaria_models.bmn.config import BMNConfig
from talaria_models.classifier.config import ClassifierConfig
from talaria_models.kt_mgfn.config import KTMGFNConfig
from talaria_models.refine_network.config import RefineNetworkConfig
from talaria_models.s_2d_tan.config import S2DTANConfig
from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.tcanet.config import TCANetConfig

if TYPE_CHECKING:
    from torch import nn

    from talaria_models.backbones.published import LoadPublished

BackboneConfig = SlowFastConfig | ViViTConfig | CSNConfig | I3DConfig | TimeSformerConfig | VideoMAEConfig
DetectorConfig = BMNConfig | S2DTANConfig | KTMGFNConfig
RefinerConfig = TCANetConfig | RefineNetworkConfig
ModelConfig = BackboneConfig | DetectorConfig | RefinerConfig | ClassifierConfig | SPTADConfig

_MODELS: dict[str, tuple[type[Any], str, str]] = {
    "slowfast": (SlowFastConfig, "talaria_models.backbones.slowfast.model", "SlowFast"),
    "vivit": (ViViTConfig, "talaria_models.backbones.vivit.model", "ViViT"),
    "csn": (CSNConfig, "talaria_models.backbones.csn.model", "CSN"),
    "i3d": (I3DConfig, "talaria_models.backbones.i3d.model", "I3D"),
    "timesformer": (TimeSformerConfig, "talaria_models.backbones.timesformer.model", "TimeSformer"),
    "videomae": (VideoMAEConfig, "talaria_models.backbones.videomae.model", "VideoMAE"),
    "bmn": (BMNConfig, "talaria_models.bmn.model", "BMN"),
    "s_2d_tan": (S2DTANConfig, "talaria_models.s_2d_tan.model", "S2DTAN"),
    "kt_mgfn": (KTMGFNConfig, "talaria_models.kt_mgfn.model", "KTMGFN"),
    "sp_tad": (SPTADConfig, "talaria_models.sp_tad.model", "SPTAD"),
    "tcanet": (TCANetConfig, "talaria_models.tcanet.model", "TCANet"),
    "refine_network": (RefineNetworkConfig, "talaria_models.refine_network.model", "RefineNetwork"),
    "classifier": (ClassifierConfig, "talaria_models.classifier.model", "VideoClassifier"),
}

TELL_CLASSES = ("s_2d_tan", "kt_mgfn")
"""Detectors that find segments by themselves, with classes; the others have boundary-matching maps."""

_EXTRAS = {"timesformer": "transformers", "videomae": "transformers"}
"""Models that import an optional package; the extra that installs it has its name."""

FIXED_SIZE = ("vivit", "timesformer", "videomae")
"""Backbones with a position for every patch: their weights serve clips of one height and width alone."""


def missing_extra(name: str) -> str | None:
    """What keeps the model of this name from being built here and how to mend it; None where nothing does."""
    extra = _EXTRAS.get(name)
    if extra is None or find_spec(extra) is not None:
        return None
    return f"{name} needs the extra {extra}: pip install -c constraints.txt -e '.[{extra}]'"


def build(config: ModelConfig, **sizes: int) -> nn.Module:
    """The network that `config` describes.

    Args:
        config: one of the configs above.
        sizes: what the data decides: `num_classes, num_frames, height, width` for backbones,
            `in_channels` for BMN and refiners, `in_channels, num_classes` for classifiers and detectors that
            tell classes, `num_classes` alone for networks that start from frames.

    Raises:
        ModuleNotFoundError: the model needs an extra that is not installed.
    """
    if problem := missing_extra(config.name):
        raise ModuleNotFoundError(problem)
    _, module, name = _MODELS[config.name]
    model: nn.Module = getattr(import_module(module), name)(config, **sizes)
    return model


def published_loader(config: BackboneConfig) -> LoadPublished:
    """What loads published checkpoints into this kind of backbone: `load_published` beside its model.

    Raises:
        ValueError: checkpoints of this model are not published.
    """
    package = _MODELS[config.name][1].rpartition(".")[0]
    if find_spec(f"{package}.checkpoint") is None:
        raise ValueError(f"model {config.name}: no layout of published checkpoints is known")
    load: LoadPublished = import_module(f"{package}.checkpoint").load_published
    return load


def config_from_dict(fields: dict[str, Any]) -> ModelConfig:
    """The config that `dataclasses.asdict` turned into `fields` (JSON lists become tuples again).

    Raises:
        ValueError: no model has this `name`, or a field is unknown or out of range.
    """
    name = fields.get("name")
    if name not in _MODELS:
        raise ValueError(f"model {name!r} is unknown; expected one of {', '.join(sorted(_MODELS))}")
    config_class = _MODELS[name][0]
    unknown = fields.keys() - {field.name for field in dataclasses.fields(config_class)}
    if unknown:
        raise ValueError(f"model {name}: unknown fields {', '.join(sorted(unknown))}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    config: ModelConfig = config_class(**values)
    return config
