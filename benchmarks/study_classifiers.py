"""What learned weights of classifiers are worth on a generated set, as the mean over seeds.

    python benchmarks/study_classifiers.py --seeds 0 1 2 --home FOLDER [--recipe RECIPE]

Runs the recipe beside this file once a seed. The demo's own backbones tell every testing video right, which
leaves an ensemble nothing to gain: here they had less training, and there are more classes and more videos.
Weights are learned on the validation subset and judged on the testing subset. Finished runs are skipped.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from studies import Numbers, asked_for, print_table, whole_pipeline


def main() -> None:
    study = asked_for(__doc__, Path(__file__).with_suffix(".yaml"))
    numbers: Numbers = defaultdict(lambda: defaultdict(list))
    for seed in study.seeds:
        found = whole_pipeline(study, seed)["classifiers"]
        for member in found["members"]:
            numbers[member["name"]]["top-1"].append(100 * member["top_1"])
            numbers[member["name"]]["weight"].append(member["weight"])
        for name in ("best", "equal", "learned"):
            numbers[f"all, {name}"]["top-1"].append(100 * found[f"{name}_top_1"])
        gain = 100 * (found["learned_top_1"] - found["best_top_1"])
        numbers["learned over the best classifier"]["top-1"].append(gain)
    print_table(numbers, study.seeds)


if __name__ == "__main__":
    main()
