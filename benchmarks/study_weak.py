"""What each part of KT-MGFN brings on the demo set, from video labels and trimmed clips alone.

    python benchmarks/study_weak.py --seeds 0 1 2 --home FOLDER [--recipe RECIPE]

Runs the recipe beside this file once a seed: its detectors are the steps of table 2 of the 2021 report, each
built on the one before. Prints average mAP and mAP at tIoU 0.5 in %, judged on the testing subset, and the
gain over the step before. Finished runs are skipped.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from studies import Study, asked_for, print_study, whole_pipeline


def main() -> None:
    study = asked_for(__doc__, Path(__file__).with_suffix(".yaml"))
    print_study(study, lambda seed: of_seed(study, seed))


def of_seed(study: Study, seed: int) -> dict[str, dict[str, float]]:
    """Numbers of one run, by row and column of the table; steps are in the order of their names."""
    result = whole_pipeline(study, seed)
    members = sorted(result["members"], key=lambda member: member["name"])
    found = {
        member["name"]: {"mAP": 100 * member["average_map"], "mAP@0.5": 100 * member["map_at_50"]}
        for member in members
    }
    for before, after in pairwise(members):
        found[after["name"]]["gain"] = found[after["name"]]["mAP"] - found[before["name"]]["mAP"]
    found["learned weights"] = {"mAP": 100 * result["learned_weights_map"]}
    return found


if __name__ == "__main__":
    main()
