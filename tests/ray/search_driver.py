"""Runs one search in a process of its own, which a test may kill: python search_driver.py JOB.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from talaria.cluster.connect import connected
from talaria.config.nodes import ClassifierNode, DetectorNode, RefinerNode
from talaria.config.postprocess import PostprocessConfig
from talaria.config.schema import ResourcesSection
from talaria.config.search import SearchSection
from talaria.search.plan import SearchPlan
from talaria.search.study import search
from talaria.search.warm_start import WarmStart
from unit.training.tiny_training import HEADS, NUM_CHANNELS, OPTIM, job

NODES: dict[str, type[Any]] = {
    "detectors": DetectorNode,
    "refiners": RefinerNode,
    "classifiers": ClassifierNode,
}
MODELS = {"detectors": "bmn", "refiners": "tcanet", "classifiers": "classifier"}


def plan_of(material: Path, out: Path, settings: dict[str, Any]) -> SearchPlan:
    """A search over tiny features.

    Args:
        material: folder for features and proposals.
        out: folder of the search.
        settings: of the section `search`.
    """
    section = SearchSection.model_validate_json(json.dumps({"features": "slowfast", **settings}), strict=True)
    kind = MODELS[section.group]
    sizes = {"in_channels": NUM_CHANNELS} | ({"num_classes": 2} if kind == "classifier" else {})
    needed = {"proposals": "all"} if kind == "tcanet" else {}
    return SearchPlan(
        section=section,
        node=NODES[section.group](model=HEADS[kind], optim=OPTIM, **needed),
        postprocess=PostprocessConfig(),
        source=job(kind, material, num_videos=12).source,
        sizes=sizes,
        folder=str(out),
        seed=5,
        cpus=1.0,
        gpus=0.0,
    )


def main() -> None:
    """Search, and print what came of it."""
    asked = json.loads(Path(sys.argv[1]).read_text())
    plan = plan_of(Path(asked["material"]), Path(asked["out"]), asked["search"])
    with connected(ResourcesSection(), {}):
        trials = search(plan, asked["max_concurrent"], WarmStart())
    print(json.dumps({trial.name: [trial.status, trial.values, trial.scores] for trial in trials}))


if __name__ == "__main__":
    main()
