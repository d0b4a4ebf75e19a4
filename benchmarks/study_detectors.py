"""What each switch of the detectors is worth on the demo set, as the mean over seeds.

    python benchmarks/study_detectors.py --seeds 0 1 2 --home FOLDER [--recipe RECIPE]

Runs the recipe beside this file once a seed and prints a table for the models' READMEs. Every member has
post-processing tuned for it alone on the validation subset and is judged on the testing subset, as in a
pipeline's own table. Finished runs are skipped. What ensembles are worth is told by study_ensemble.py.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from studies import Study, asked_for, job, print_study, proposal_auc, summary_of, whole_pipeline


def main() -> None:
    study = asked_for(__doc__, Path(__file__).with_suffix(".yaml"))
    print_study(study, lambda seed: of_seed(study, seed))


def of_seed(study: Study, seed: int) -> dict[str, dict[str, float]]:
    """Average mAP of every detector and refiner of one run, and AUC of the detectors' proposals, in %."""
    refined = whole_pipeline(study, seed)
    run = study.run(seed)
    whose = f"tags.talaria.pipeline = '{run.name}' and tags.talaria.belief = 'maps'"
    job(study, "ensemble", "--recipe", run / "recipe.json", "--members", whose)
    maps = summary_of(run)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for member in (*maps["members"], *refined["members"]):
        found[member["name"]]["mAP"] = 100 * member["average_map"]
    for member, auc in proposal_auc(run, Path(maps["annotations"])).items():
        found[member]["AUC"] = auc
    return found


if __name__ == "__main__":
    main()
