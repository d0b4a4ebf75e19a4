"""Score an official predictions file: average mAP of detections, or AR@AN and its area for proposals."""

import _bootstrap


def main() -> int:
    import argparse
    from pathlib import Path

    example = (
        "python jobs/evaluate.py detection --annotations A.json --predictions P.json --subset validation"
    )
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("task", choices=("detection", "proposals"))
    parser.add_argument(
        "--annotations", required=True, type=Path, help="HACS or ActivityNet JSON, .gz accepted"
    )
    parser.add_argument("--predictions", required=True, type=Path, help="official JSON, .gz accepted")
    parser.add_argument("--subset", required=True, help="whose videos count, such as validation")
    parser.add_argument("--tiou", nargs="+", type=float, default=[], help="thresholds; default 0.5 to 0.95")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the scores here; gzip if *.gz")
    arguments = parser.parse_args()

    from talaria.log import LOGGER, console, setup_console
    from talaria.report.scores import score_files, write_scores
    from talaria.report.tables import scores_table

    setup_console()
    scores = score_files(
        arguments.task, arguments.annotations, arguments.predictions, arguments.subset, arguments.tiou
    )
    notes = scores.scene.notes
    for note in notes[:5]:
        LOGGER.info("note: %s", note)
    if len(notes) > 5:
        LOGGER.info("note: and %d more oddities", len(notes) - 5)
    console.print(scores_table(scores, arguments.predictions.name))
    if arguments.json is not None:
        write_scores(scores, arguments.json.resolve())
        console.print(f"scores: {arguments.json}")
    return 0


if __name__ == "__main__":
    _bootstrap.run(main)
