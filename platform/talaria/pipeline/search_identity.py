"""What decides a search and its scores: the fields of its artifact, and what makes two trials comparable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from talaria.config.fingerprint import fingerprint, flattened
from talaria.config.nodes import RefinerNode
from talaria.config.schema import RunConfig
from talaria.config.search import SearchSection
from talaria.config.space import target_node
from talaria.pipeline.predictions import Work
from talaria.seeds import content_seed
from talaria.store.feature_store import FeatureStore
from talaria.training.job import RefinerSource, SnippetSource

_NOT_IDENTITY = {"num_trials", "apply_to", "max_gflop", "max_concurrent", "workers_per_trial"}
"""Settings of a search that change nothing about a trial; with more trials a finished search goes on."""


def deciding_fields(
    config: RunConfig,
    section: SearchSection,
    store: FeatureStore,
    source: SnippetSource | RefinerSource,
    offered: Mapping[str, Work],
) -> dict[str, Any]:
    """What decides the trials."""
    node = target_node(config, section)
    proposals = offered[node.proposals].artifact.fingerprint if isinstance(node, RefinerNode) else None
    return {
        "search": identity(section),
        "node": node,
        "postprocess": config.postprocess if section.group != "classifiers" else None,
        "proposals": proposals,
        "features": store.contract.fingerprint,
        "videos": fingerprint(source.videos),
        "seed": content_seed(config.run.seed, "search"),
    }


def identity(section: SearchSection) -> dict[str, Any]:
    """The settings of a search that decide its trials."""
    return section.model_dump(exclude=_NOT_IDENTITY)


def judged_on_what(section: SearchSection, fields: Mapping[str, Any]) -> str:
    """A fingerprint of what decides a trial's score besides its values: equal for trials that compare."""
    fixed = {f"{section.target}.{path}": value for path, value in flattened(fields["node"]).items()}
    fixed |= {f"postprocess.{path}": value for path, value in flattened(fields["postprocess"]).items()}
    left = {
        section.below_target(path): value
        for path, value in fixed.items()
        if path not in section.space and section.below_target(path) not in ("features", "optim.epochs")
    }
    same = {name: fields[name] for name in ("features", "videos", "proposals")}
    judged = (section.group, section.epochs, section.objectives, section.holdout_frac)
    return fingerprint([same, judged, left])
