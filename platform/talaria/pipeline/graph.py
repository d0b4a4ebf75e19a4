"""The nodes of a recipe: which backbones feed which classifiers and detectors."""

from __future__ import annotations

from dataclasses import dataclass

from talaria.config.schema import BackboneNode, ClassifierNode, DetectorNode, RunConfig


@dataclass(frozen=True)
class HeadNode:
    """A head on the features of one backbone; `name` is its folder and its name in MLflow."""

    backbone: str
    node_name: str

    @property
    def name(self) -> str:
        """`slowfast-bmn64`."""
        return f"{self.backbone}-{self.node_name}"


def detector_heads(config: RunConfig) -> list[HeadNode]:
    """Every detector on every backbone that it names; each is an ensemble member."""
    return _heads(config, config.detectors)


def classifier_heads(config: RunConfig) -> list[HeadNode]:
    """Every classifier on every backbone that it names; none where clip scores classify the proposals."""
    return _heads(config, config.classifiers) if config.postprocess.classification == "video" else []


def clip_group(node: BackboneNode) -> tuple[object, ...]:
    """What decides the clips of a fine-tuning; backbones that agree on it share them."""
    assert node.finetune is not None
    return (node.clip, node.finetune.clips_per_segment, node.finetune.background_clips_per_video)


def _heads(config: RunConfig, nodes: dict[str, DetectorNode] | dict[str, ClassifierNode]) -> list[HeadNode]:
    return [
        HeadNode(backbone, name)
        for name, node in nodes.items()
        for backbone in (node.features or tuple(config.backbones))
    ]
