"""Searches over tiny features, shared by the tests of this folder."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from talaria.config.nodes import ClassifierNode, DetectorNode, RefinerNode
from talaria.config.postprocess import PostprocessConfig
from talaria.config.search import SearchSection
from talaria.search.plan import SearchPlan
from talaria.search.trials import TrialResult
from unit.training.tiny_training import HEADS, NUM_CHANNELS, OPTIM, job

LR, LAYERS, WINDOW = (
    "detectors.bmn.optim.lr",
    "detectors.bmn.model.lgte_layers",
    "detectors.bmn.model.lgte_window",
)
SPACE: dict[str, Any] = {
    LR: {"type": "log_uniform", "low": 1e-4, "high": 1e-1},
    WINDOW: {"type": "choice", "choices": [3, 5], "when": {LAYERS: 1}},
    LAYERS: {"type": "choice", "choices": [0, 1]},
}


def section(**settings: Any) -> SearchSection:
    """A section `search` over SPACE."""
    fields = {"target": "detectors.bmn", "features": "slowfast", "space": SPACE, "epochs": 4, **settings}
    return SearchSection.model_validate_json(json.dumps(fields), strict=True)


def result(number: int, *scores: float, **fields: Any) -> TrialResult:
    """A finished trial, which drew a learning rate by its number."""
    values = {LR: 0.001 * (number + 1), LAYERS: 0}
    made: dict[str, Any] = {"values": values, "status": "finished", "scores": scores, "gflop": 1.0}
    return TrialResult(**{"name": f"trial_{number:05d}", **made, **fields})


def plan(kind: str, material: Path, out: Path, **settings: Any) -> SearchPlan:
    """A search of a model of `HEADS`."""
    group, made = {
        "bmn": ("detectors", DetectorNode),
        "classifier": ("classifiers", partial(ClassifierNode, num_bins=8)),
    }.get(kind, ("refiners", partial(RefinerNode, proposals="all")))
    sizes = {"in_channels": NUM_CHANNELS} | ({"num_classes": 2} if kind == "classifier" else {})
    draw = {"type": "log_uniform", "low": 1e-4, "high": 1e-1}
    space = {f"{group}.{kind}.optim.lr": draw}
    return SearchPlan(
        section=section(**{"target": f"{group}.{kind}", "space": space, **settings}),
        node=made(model=HEADS[kind], optim=OPTIM),
        postprocess=PostprocessConfig(),
        source=job(kind, material, num_videos=12).source,
        sizes=sizes,
        folder=str(out),
        seed=5,
        cpus=1.0,
        gpus=0.0,
    )
