"""Detectors without maps on the demo set: each alone, and what each adds to an ensemble with BMNs.

    python benchmarks/study_found.py --seeds 0 1 2 --home FOLDER [--recipe RECIPE]

Runs the recipe beside this file once a seed and prints average mAP in %, judged on the testing subset, of
each member alone, of the ensemble with learned weights, and by how much it is better than without each
member. Finished runs are skipped.
"""

from __future__ import annotations

from pathlib import Path

from studies import Study, asked_for, print_study, whole_pipeline


def main() -> None:
    study = asked_for(__doc__, Path(__file__).with_suffix(".yaml"))
    print_study(study, lambda seed: of_seed(study, seed))


def of_seed(study: Study, seed: int) -> dict[str, dict[str, float]]:
    """Numbers of one run, by row and column of the table."""
    result = whole_pipeline(study, seed)
    found = {
        member["name"]: {"mAP": 100 * member["average_map"], "adds": 100 * member["leave_one_out"]}
        for member in result["members"]
    }
    for name in ("best_member_map", "equal_weights_map", "learned_weights_map"):
        found[name.removesuffix("_map").replace("_", " ")] = {"mAP": 100 * result[name]}
    return found


if __name__ == "__main__":
    main()
