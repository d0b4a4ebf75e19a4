"""What the studies share: a recipe run once a seed as a person would, and a table of means."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "models")]

from talaria.config.loading import load_resolved  # noqa: E402
from talaria.config.postprocess import PostprocessConfig  # noqa: E402
from talaria.data.annotations import load_annotations  # noqa: E402
from talaria.ensemble.proposing import proposed  # noqa: E402
from talaria.evaluation.arrays import Detections, GroundTruth  # noqa: E402
from talaria.evaluation.proposals import average_recall  # noqa: E402
from talaria.pipeline.graph import detector_heads  # noqa: E402
from talaria.prediction.belief import Belief  # noqa: E402
from talaria.prediction.stores import RawStore  # noqa: E402
from talaria.records import Detection  # noqa: E402
from talaria.store.files import read_json  # noqa: E402

Numbers = dict[str, dict[str, list[float]]]
"""Values of every seed, by row and column of the table."""


@dataclass(frozen=True)
class Study:
    """What the command line asks for.

    Attributes:
        home: absolute; runs/ lies below it.
        recipe: absolute; the runs are called after its file and their seed.
    """

    seeds: tuple[int, ...]
    home: Path
    recipe: Path

    def run(self, seed: int) -> Path:
        """The folder of one seed's run."""
        return self.home / "runs" / f"{self.recipe.stem}{seed}"


def asked_for(description: str | None, recipe: Path) -> Study:
    """Read the command line; `recipe` is the one that is run by default."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--home", type=Path, required=True, help="folder below which runs/ lies")
    parser.add_argument("--recipe", type=Path, default=recipe)
    asked = parser.parse_args()
    return Study(tuple(asked.seeds), asked.home.resolve(), asked.recipe.resolve())


def job(study: Study, name: str, *arguments: object) -> None:
    """Run a job as a person does; its output goes to the terminal."""
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)]
    subprocess.run(command, env={**os.environ, "TALARIA_HOME": str(study.home)}, check=True)


def whole_pipeline(study: Study, seed: int) -> dict[str, Any]:
    """The summary of one seed's run, made if it is not there."""
    run = study.run(seed)
    settings = ("--set", f"run.name={run.name}", "--set", f"run.seed={seed}")
    job(study, "full_pipeline", "--recipe", study.recipe, *settings)
    return summary_of(run)


def summary_of(run: Path) -> dict[str, Any]:
    """What the last job said of a run."""
    found: dict[str, Any] = read_json(run / "summary.json")
    return found


def proposal_auc(
    run: Path, annotations: Path, change: Callable[[Belief], Belief] = lambda one: one
) -> dict[str, float]:
    """AUC in % of each generator's proposals on the judged subset; `change` is done to what it predicted."""
    truth, settings = judged_truth(run, annotations), load_resolved(run / "recipe.json").postprocess
    return {name: auc_of([store], truth, settings, change) for name, store in generators(run).items()}


def generators(run: Path) -> dict[str, RawStore]:
    """The raw predictions of a run's detectors."""
    heads = detector_heads(load_resolved(run / "recipe.json"))
    return {head.name: RawStore(run / "predict" / head.name / "raw") for head in heads}


def judged_truth(run: Path, annotations: Path) -> GroundTruth:
    """The annotated segments of the judged subset."""
    dataset = load_annotations(annotations, None, ends="kept").dataset
    subset = load_resolved(run / "recipe.json").data.judge_subset
    return GroundTruth.of_videos(dataset.subset(subset), dataset.classes)


def auc_of(
    stores: Sequence[RawStore],
    truth: GroundTruth,
    settings: PostprocessConfig,
    change: Callable[[Belief], Belief] = lambda one: one,
) -> float:
    """AR@AN's area in % for proposals fused from some generators."""
    results = {}
    for video_id in set(truth.video_ids) & set(stores[0].video_ids):
        offered = proposed([change(store.read(video_id)) for store in stores], settings)
        segments_s = offered.segments_P2 * offered.duration_s
        rows = zip(segments_s.tolist(), offered.scores_P.tolist(), strict=True)
        results[video_id] = [Detection(*segment, truth.classes[0], score) for segment, score in rows]
    return average_recall(truth, Detections.of_results(results, truth)).auc


def print_study(study: Study, of_seed: Callable[[int], Mapping[str, Mapping[str, float]]]) -> None:
    """The table over all seeds of what `of_seed` gives by row and column."""
    numbers: Numbers = defaultdict(lambda: defaultdict(list))
    for seed in study.seeds:
        for name, found in of_seed(seed).items():
            for measure, value in found.items():
                numbers[name][measure].append(value)
    print_table(numbers, study.seeds)


def print_table(numbers: Numbers, seeds: Sequence[int]) -> None:
    """Means and deviations."""
    columns = list(dict.fromkeys(column for found in numbers.values() for column in found))
    print(f"\nmean over {len(seeds)} seeds (deviation)")
    print(f"{'':34s}" + "".join(f"{column:>18s}" for column in columns))
    for name, found in numbers.items():
        print(f"{name:34s}" + "".join(f"{_shown(found.get(column, [])):>18s}" for column in columns))


def _shown(values: list[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.2f}" + (f" ({stdev(values):.2f})" if len(values) > 1 else "")
