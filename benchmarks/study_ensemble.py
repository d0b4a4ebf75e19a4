"""What fusing nine members is worth on the demo set, as the mean over seeds, and what junk among them costs.

    python benchmarks/study_ensemble.py --seeds 0 1 2 --home FOLDER [--recipe RECIPE]

Runs the recipe beside this file once a seed: three BMNs on each of three backbones. Prints average mAP of
each alone and of all with equal and learned weights, judged on the testing subset; the same with three
members more whose scores are random; and the AUC of the proposals of each and of all with equal weights, the
former also resized to the grid of the latter. Finished runs are skipped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from studies import (
    Study,
    asked_for,
    auc_of,
    generators,
    job,
    judged_truth,
    print_study,
    proposal_auc,
    summary_of,
    whole_pipeline,
)

from talaria.config.loading import load_resolved
from talaria.ensemble.fusion import fused_size
from talaria.ensemble.resizing import resize_curve, resize_map
from talaria.pipeline.graph import detector_heads
from talaria.prediction.belief import Belief
from talaria.prediction.raw import RawPrediction, inside
from talaria.prediction.stores import RawStore, write_raw
from talaria.seeds import content_seed
from talaria.tracking.mlflow_tracker import BELIEF_TAG, MAPS, PREDICTIONS_TAG, RunRef, Tracker

_JUNK = ("junk1", "junk2", "junk3")
_STUDY_TAG = "talaria.study"


def main() -> None:
    study = asked_for(__doc__, Path(__file__).with_suffix(".yaml"))
    print_study(study, lambda seed: of_seed(study, seed))


def of_seed(study: Study, seed: int) -> dict[str, dict[str, float]]:
    """Numbers of one run in %, by row and column of the table."""
    result = whole_pipeline(study, seed)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for member in result["members"]:
        found[member["name"]]["mAP"] = 100 * member["average_map"]
    best, equal, learned = (
        100 * result[name] for name in ("best_member_map", "equal_weights_map", "learned_weights_map")
    )
    found["best member"]["mAP"] = best
    found["equal weights"]["mAP"] = equal
    found["learned weights"]["mAP"] = learned
    found["learned over best member"]["mAP"] = learned - best
    found["learned over equal"]["mAP"] = learned - equal
    print(f"seed {seed}: {result['way']}, {result['validated_map']}")
    junk = with_junk(study, seed, [member["run_id"] for member in result["members"]])
    found["with junk, equal weights"]["mAP"] = 100 * junk["equal_weights_map"]
    found["with junk, learned weights"]["mAP"] = 100 * junk["learned_weights_map"]
    found["learned with junk over without"]["mAP"] = 100 * junk["learned_weights_map"] - learned
    found["largest weight of junk"]["mAP"] = 100 * max(junk["weights"][name] for name in _JUNK)
    print(f"seed {seed} with junk: {junk['way']}, {junk['validated_map']}")
    for row, column, auc in fused_auc(study, seed, Path(result["annotations"])):
        found[row][column] = auc
    return found


def with_junk(study: Study, seed: int, run_ids: Sequence[str]) -> dict[str, object]:
    """The summary of the same ensemble with three members of random scores."""
    run = study.run(seed)
    config = load_resolved(run / "recipe.json")
    uri = f"sqlite:///{study.home / 'runs' / 'mlflow.db'}"
    tracker = Tracker(uri, config.tracking.experiment, None)
    like = RawStore(run / "predict" / detector_heads(config)[0].name / "raw")
    tag = f"junk{seed}"
    for name in _JUNK:
        folder = run / "junk" / name / "raw"
        if not folder.is_dir():
            meta = replace(like.meta, member=name)
            write_raw(folder / "part-00000.parquet", (random_like(one, name) for one in like), meta)
        tags = {PREDICTIONS_TAG: str(folder), BELIEF_TAG: MAPS, _STUDY_TAG: tag}
        tracker.finish(tracker.run(f"{folder}", f"{run.name}/{name}", "train", tags=tags))
    for run_id in run_ids:
        tracker.tag(RunRef(run_id, run_id, run_id), _STUDY_TAG, tag)
    job(study, "ensemble", "--recipe", run / "recipe.json", "--members", f"tags.{_STUDY_TAG} = '{tag}'")
    found = summary_of(run)
    whole_pipeline(study, seed)  # the run's summary is again that of its own members
    return found


def random_like(one: Belief, name: str) -> RawPrediction:
    """Random numbers in place of what a member says of a video."""
    assert isinstance(one, RawPrediction)
    rng, size = np.random.default_rng(content_seed("junk", name, one.video_id)), one.num_snippets
    maps = rng.random((2, size, size), np.float32)
    maps[:, ~inside(size)] = 0
    logits = rng.normal(size=one.class_logits_RK.shape)
    return RawPrediction(one.video_id, one.duration_s, rng.random(size), rng.random(size), maps, logits)


def fused_auc(study: Study, seed: int, annotations: Path) -> list[tuple[str, str, float]]:
    """Row, column and AUC in %: of each generator, of all fused, and of what fusing gains."""
    run = study.run(seed)
    config = load_resolved(run / "recipe.json")
    size = fused_size([node.model.num_snippets for node in config.detectors.values()])
    own = proposal_auc(run, annotations)
    finer = proposal_auc(run, annotations, lambda one: resized(one, size))
    together = auc_of(list(generators(run).values()), judged_truth(run, annotations), config.postprocess)
    return [
        *((name, "AUC", auc) for name, auc in own.items()),
        *((name, "AUC, fine grid", auc) for name, auc in finer.items()),
        ("best member", "AUC", max(own.values())),
        ("best member", "AUC, fine grid", max(finer.values())),
        ("equal weights", "AUC", together),
        ("equal over best member", "AUC", together - max(own.values())),
        ("equal over best member", "AUC, fine grid", together - max(finer.values())),
    ]


def resized(one: Belief, size: int) -> RawPrediction:
    """A prediction on another grid."""
    assert isinstance(one, RawPrediction)
    return RawPrediction(
        one.video_id,
        one.duration_s,
        resize_curve(one.start_T, size),
        resize_curve(one.end_T, size),
        resize_map(one.bm_map_MDT, size),
        one.class_logits_RK,
    )


if __name__ == "__main__":
    main()
