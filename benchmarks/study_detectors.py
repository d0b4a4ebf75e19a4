"""What each switch of the detectors is worth on the demo set, as the mean over seeds.

    python benchmarks/study_detectors.py --seeds 0 1 2 --home FOLDER [--recipe RECIPE]

Runs the recipe beside this file once a seed, fuses its proposal generators by themselves, and prints a table
for the models' READMEs. Every member has post-processing tuned for it alone on the validation subset and is
judged on the testing subset, as in a pipeline's own table. Finished runs are skipped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "models")]

from talaria.config.loading import load_resolved  # noqa: E402
from talaria.config.postprocess import PostprocessConfig  # noqa: E402
from talaria.data.annotations import load_annotations  # noqa: E402
from talaria.ensemble.proposing import proposed  # noqa: E402
from talaria.evaluation.arrays import Detections, GroundTruth  # noqa: E402
from talaria.evaluation.proposals import average_recall  # noqa: E402
from talaria.pipeline.graph import detector_heads  # noqa: E402
from talaria.prediction.stores import RawStore  # noqa: E402
from talaria.records import Detection  # noqa: E402
from talaria.store.files import read_json  # noqa: E402

Numbers = dict[str, dict[str, list[float]]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--home", type=Path, required=True, help="folder below which runs/ lies")
    parser.add_argument("--recipe", type=Path, default=Path(__file__).with_suffix(".yaml"))
    asked = parser.parse_args()
    numbers: Numbers = defaultdict(lambda: defaultdict(list))
    for seed in asked.seeds:
        for name, found in of_seed(asked.recipe.resolve(), asked.home.resolve(), seed).items():
            for measure, value in found.items():
                numbers[name][measure].append(value)
    measures = sorted({measure for found in numbers.values() for measure in found})
    print(f"\nmean over {len(asked.seeds)} seeds (deviation), in %")
    print(f"{'':34s}" + "".join(f"{measure:>18s}" for measure in measures))
    for name, found in numbers.items():
        print(f"{name:34s}" + "".join(f"{shown(found.get(measure, [])):>18s}" for measure in measures))


def of_seed(recipe: Path, home: Path, seed: int) -> dict[str, dict[str, float]]:
    """Scores of one run: of each member, of ensembles of generators and refiners, and AUC of proposals."""
    name = f"study{seed}"
    run = home / "runs" / name
    job("full_pipeline", home, "--recipe", recipe, "--set", f"run.name={name}", "--set", f"run.seed={seed}")
    refined = read_json(run / "summary.json")
    whose = f"tags.talaria.pipeline = '{name}' and tags.talaria.belief = 'maps'"
    job("ensemble", home, "--recipe", run / "recipe.json", "--members", whose)
    maps = read_json(run / "summary.json")
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for kind, result in (("generators", maps), ("refiners", refined)):
        for member in result["members"]:
            found[member["name"]]["mAP"] = 100 * member["average_map"]
        found[f"all {kind}, equal weights"]["mAP"] = 100 * result["equal_weights_map"]
        found[f"all {kind}, learned weights"]["mAP"] = 100 * result["learned_weights_map"]
    for member, auc in proposal_auc(run, Path(maps["annotations"])).items():
        found[member]["AUC"] = auc
    return found


def proposal_auc(run: Path, annotations: Path) -> dict[str, float]:
    """AUC on the judged subset of each generator's proposals, and of all of them fused with equal weights."""
    config = load_resolved(run / "recipe.json")
    dataset = load_annotations(annotations, None, ends="kept").dataset
    truth = GroundTruth.of_videos(dataset.subset(config.data.judge_subset), dataset.classes)
    stores = {head.name: RawStore(run / "predict" / head.name / "raw") for head in detector_heads(config)}
    groups = {
        **{name: [store] for name, store in stores.items()},
        "all generators, equal weights": [*stores.values()],
    }
    suppression = PostprocessConfig()
    return {name: auc_of(listed, truth, suppression) for name, listed in groups.items()}


def auc_of(stores: list[RawStore], truth: GroundTruth, suppression: PostprocessConfig) -> float:
    """AR@AN's area for proposals fused from some generators."""
    results = {}
    for video_id in set(truth.video_ids) & set(stores[0].video_ids):
        offered = proposed([store.read(video_id) for store in stores], suppression)
        segments_s = offered.segments_P2 * offered.duration_s
        rows = zip(segments_s.tolist(), offered.scores_P.tolist(), strict=True)
        results[video_id] = [Detection(*segment, truth.classes[0], score) for segment, score in rows]
    return average_recall(truth, Detections.of_results(results, truth)).auc


def job(name: str, home: Path, *arguments: object) -> None:
    """Run a job as a person does; its output goes to the terminal."""
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)]
    subprocess.run(command, env={**os.environ, "TALARIA_HOME": str(home)}, check=True)


def shown(values: list[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.2f}" + (f" ({stdev(values):.2f})" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
