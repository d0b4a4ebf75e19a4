"""The nodes of a recipe: which backbones feed which classifiers, detectors and refiners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from talaria.config.nodes import BackboneNode, ClassifierNode, DetectorNode, RefinerNode
from talaria.config.schema import CLIP_LOGITS, RunConfig


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
    """Every detector on every backbone that it names."""
    return _heads(config, config.detectors)


def refiner_heads(config: RunConfig) -> list[HeadNode]:
    """Every refiner on every backbone that it names; each is an ensemble member."""
    return _heads(config, config.refiners)


def proposal_sources(config: RunConfig, name: str) -> list[HeadNode]:
    """The detectors whose maps make a set of proposals."""
    members = config.proposals[name].members
    with_maps = [head for head in detector_heads(config) if config.detectors[head.node_name].has_maps]
    return [head for head in with_maps if not members or head.name in members]


def used_proposals(config: RunConfig) -> list[str]:
    """Names of the sets of proposals that some refiner starts from, in the recipe's order."""
    wanted = {node.proposals for node in config.refiners.values()}
    return [name for name in config.proposals if name in wanted]


def classifier_heads(config: RunConfig) -> list[HeadNode]:
    """Every classifier on every backbone that it names; none where clip scores classify the proposals."""
    return _heads(config, config.classifiers) if config.postprocess.classification == "video" else []


def feature_backbones(config: RunConfig) -> list[str]:
    """The backbones whose features are extracted: all but those that detectors only start from."""
    heads = (*classifier_heads(config), *detector_heads(config), *refiner_heads(config))
    used = {head.backbone for head in heads}
    started = {name for node in config.end_to_end.values() for name in node.start_from.values()}
    return [name for name in config.backbones if name in used or name not in started]


def clip_classifiers(config: RunConfig) -> list[HeadNode]:
    """Every backbone as a classifier by itself, through its clip scores."""
    return [HeadNode(backbone, CLIP_LOGITS) for backbone in feature_backbones(config)]


def classifier_members(config: RunConfig) -> list[HeadNode]:
    """The ensemble of classifiers; empty where each member is classified by the one on its own backbone."""
    if not config.learns_classifiers:
        return []
    return [*classifier_heads(config), *(clip_classifiers(config) if config.ensemble.clip_logits else ())]


def own_classifier(config: RunConfig, backbone: str) -> HeadNode | None:
    """What classifies raw predictions on a backbone: the first classifier there; None for its clip scores."""
    return next((head for head in classifier_heads(config) if head.backbone == backbone), None)


def clip_group(node: BackboneNode) -> tuple[object, ...]:
    """What decides the clips of a fine-tuning; backbones that agree on it share them."""
    tuned = node.finetune
    assert tuned is not None
    numbers = (node.finetune_clip, tuned.clips_per_segment, tuned.background_clips_per_video)
    return numbers if tuned.subset is None else (*numbers, tuned.subset)


def _heads(
    config: RunConfig, nodes: Mapping[str, DetectorNode | ClassifierNode | RefinerNode]
) -> list[HeadNode]:
    return [
        HeadNode(backbone, name)
        for name, node in nodes.items()
        for backbone in (node.features or tuple(config.backbones))
    ]
