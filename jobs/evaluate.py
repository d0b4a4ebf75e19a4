"""Score predictions: average mAP, AR@AN, video labels; say what is wrong with them, or compare two files."""

import _bootstrap

EXAMPLES = """examples:
  python jobs/evaluate.py detection --annotations A.json --predictions P.json --subset validation
  python jobs/evaluate.py errors --annotations A.json --predictions P.json --subset validation --plots errors/
  python jobs/evaluate.py compare --annotations A.json --predictions P.json --against Q.json --subset val
files: JSON, .gz or Parquet; docs/guides/formats.md shows every layout"""


def main() -> int:
    import argparse
    from pathlib import Path

    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=form)
    add = parser.add_argument
    add("task", choices=("detection", "proposals", "classification", "errors", "compare"))
    add("--annotations", required=True, type=Path, help="the truth, of any public layout")
    add("--predictions", required=True, type=Path, help="official JSON, Parquet, or THUMOS14 text")
    add("--subset", required=True, help="whose videos count, such as validation")
    add("--tiou", nargs="+", type=float, default=[], help="default 0.5 to 0.95 (thumos14: 0.3 to 0.7)")
    add("--rules", choices=("activitynet", "thumos14"), default="activitynet", help="whose mAP")
    add("--top-k", nargs="+", type=int, default=[1, 3, 5], help="classification: default 1 3 5")
    add("--against", type=Path, metavar="P2", help="compare: the second predictions file")
    add("--resamples", type=int, default=1000, help="compare: of the bootstrap (default %(default)s)")
    add("--plots", type=Path, metavar="FOLDER", help="errors: also draw the figures here")
    add("--json", type=Path, metavar="OUT", help="also write the scores here; gzip if *.gz")
    add("--mlflow", metavar="URI", help="also log to this server, such as sqlite:////absolute/mlflow.db")
    add("--experiment", default="talaria", help="of MLflow (default %(default)s)")
    asked = parser.parse_args()

    from talaria.log import LOGGER, console, setup_console
    from talaria.report.judging import Question, judge
    from talaria.report.scores import write_scores
    from talaria.report.tables import scores_tables

    setup_console()
    question = Question(
        annotations=asked.annotations,
        predictions=asked.predictions,
        subset=asked.subset,
        tiou=tuple(asked.tiou),
        rules=asked.rules,
        against=asked.against,
        num_resamples=asked.resamples,
        top_k=tuple(asked.top_k),
        plots=asked.plots,
    )
    scores = judge(asked.task, question)
    for note in scores.notes:
        LOGGER.info("note: %s", note)
    for table in scores_tables(scores, question.names()):
        console.print(table)
    if asked.json is not None:
        write_scores(scores, asked.json.resolve())
        console.print(f"scores: {asked.json}")
    if asked.plots is not None:
        console.print(f"figures: {asked.plots}")
    if asked.mlflow is not None:
        from talaria.report.tracked import log_scores

        log_scores(asked.mlflow, asked.experiment, asked.task, question, scores)
        console.print(f"logged to {asked.mlflow}, experiment {asked.experiment}")
    return 0


if __name__ == "__main__":
    _bootstrap.run(main)
