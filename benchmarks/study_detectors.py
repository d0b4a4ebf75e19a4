"""What each switch of the detectors is worth on the demo set, as the mean over seeds.

    python benchmarks/study_detectors.py --seeds 0 1 2 --home FOLDER [--recipe RECIPE]

Runs the recipe beside this file once a seed, fuses its proposal generators by themselves, and prints a table
for the models' READMEs. Every member has post-processing tuned for it alone on the validation subset and is
judged on the testing subset, as in a pipeline's own table. Finished runs are skipped.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from studies import Numbers, Study, asked_for, job, print_table, summary_of, whole_pipeline

from talaria.config.loading import load_resolved
from talaria.config.postprocess import PostprocessConfig
from talaria.data.annotations import load_annotations
from talaria.ensemble.proposing import proposed
from talaria.evaluation.arrays import Detections, GroundTruth
from talaria.evaluation.proposals import average_recall
from talaria.pipeline.graph import detector_heads
from talaria.prediction.stores import RawStore
from talaria.records import Detection


def main() -> None:
    study = asked_for(__doc__, Path(__file__).with_suffix(".yaml"))
    numbers: Numbers = defaultdict(lambda: defaultdict(list))
    for seed in study.seeds:
        for name, found in of_seed(study, seed).items():
            for measure, value in found.items():
                numbers[name][measure].append(value)
    print_table(numbers, study.seeds)


def of_seed(study: Study, seed: int) -> dict[str, dict[str, float]]:
    """Scores of one run in %: of members, of ensembles of generators and refiners, and AUC of proposals."""
    refined = whole_pipeline(study, seed)
    run = study.run(seed)
    whose = f"tags.talaria.pipeline = '{run.name}' and tags.talaria.belief = 'maps'"
    job(study, "ensemble", "--recipe", run / "recipe.json", "--members", whose)
    maps = summary_of(run)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for kind, result in (("generators", maps), ("refiners", refined)):
        for member in result["members"]:
            found[member["name"]]["mAP"] = 100 * member["average_map"]
        found[f"all {kind}, equal weights"]["mAP"] = 100 * result["equal_weights_map"]
        found[f"all {kind}, learned weights"]["mAP"] = 100 * result["learned_weights_map"]
    for member, auc in proposal_auc(run, maps).items():
        found[member]["AUC"] = auc
    return found


def proposal_auc(run: Path, maps: dict[str, Any]) -> dict[str, float]:
    """AUC on the judged subset: of each generator's proposals, of all fused, and of those picked for it.

    Last, what these gain on the generator that was picked first, and on the one that hindsight picks.

    Members are picked one by one, each time the one that raises the fit subset's AUC most, until none does; a
    member may be picked again and then has more weight.
    """
    config = load_resolved(run / "recipe.json")
    dataset = load_annotations(Path(maps["annotations"]), None, ends="kept").dataset
    fit, judge = (
        GroundTruth.of_videos(dataset.subset(subset), dataset.classes)
        for subset in (config.data.fit_subset, config.data.judge_subset)
    )
    stores = {head.name: RawStore(run / "predict" / head.name / "raw") for head in detector_heads(config)}
    picked: list[str] = []
    best = 0.0
    while True:
        tried = {name: auc_of([stores[one] for one in (*picked, name)], fit) for name in stores}
        name = max(tried, key=lambda one: tried[one])
        if tried[name] <= best:
            break
        picked, best = [*picked, name], tried[name]
    print("picked on the fit subset:", ", ".join(picked))
    groups = {name: [store] for name, store in stores.items()}
    groups["all generators, equal weights"] = list(stores.values())
    groups["generators picked on validation"] = [stores[name] for name in picked]
    found = {name: auc_of(listed, judge) for name, listed in groups.items()}
    together = found["generators picked on validation"]
    return {
        **found,
        "over the one best on validation": together - found[picked[0]],
        "over the one best on testing": together - max(found[name] for name in stores),
    }


def auc_of(stores: list[RawStore], truth: GroundTruth) -> float:
    """AR@AN's area in % for proposals fused from some generators."""
    results = {}
    for video_id in set(truth.video_ids) & set(stores[0].video_ids):
        offered = proposed([store.read(video_id) for store in stores], PostprocessConfig())
        segments_s = offered.segments_P2 * offered.duration_s
        rows = zip(segments_s.tolist(), offered.scores_P.tolist(), strict=True)
        results[video_id] = [Detection(*segment, truth.classes[0], score) for segment, score in rows]
    return average_recall(truth, Detections.of_results(results, truth)).auc


if __name__ == "__main__":
    main()
