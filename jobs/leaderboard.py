"""Show members and ensembles of an MLflow experiment, the best first; register a member for an ensemble."""

import _bootstrap

EXAMPLES = """examples:
  python jobs/leaderboard.py
  python jobs/leaderboard.py --filter "tags.talaria.pipeline = 'demo' and params.features = 'slowfast'"
  python jobs/leaderboard.py --ensemble demo/5723b067 --tracking-uri http://mlflow.example.org:5000
  python jobs/leaderboard.py --register demo/slowfast-bmn96 hacs-bmn --alias champion
  python jobs/ensemble.py --recipe RECIPE --members "models:/hacs-bmn@champion, models:/other/3"
gain: of an ensemble over its best member; of a member over the same ensemble without it; in points of mAP"""


def main() -> int:
    import argparse

    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=form)
    add = parser.add_argument
    add("--filter", metavar="FILTER", help="MLflow filter over runs; docs/guides/mlflow.md tells what works")
    add("--tracking-uri", metavar="URI", help="default: runs/mlflow.db below TALARIA_HOME or this folder")
    add("--experiment", default="talaria", help="of MLflow (default %(default)s)")
    add("--ensemble", metavar="RUN", help="id or name of the ensemble to take apart (default: the latest)")
    add("--register", nargs=2, metavar=("RUN", "NAME"), help="make a member a version of a registered model")
    add("--alias", help="with --register: point this alias to that version")
    asked = parser.parse_args()
    if asked.alias and not asked.register:
        parser.error("--alias needs --register RUN NAME")

    from talaria.log import setup_console
    from talaria.report.leaderboard import Leaderboard
    from talaria.report.leaderboard_tables import ensemble_table, leaderboard_table, print_wide

    setup_console()
    uri = asked.tracking_uri or f"sqlite:///{_bootstrap.home() / 'runs' / 'mlflow.db'}"
    board = Leaderboard(uri, asked.experiment)
    entries = board.entries(asked.filter)
    if asked.register:
        print(board.register(entries, *asked.register, asked.alias))
        return 0
    print_wide(leaderboard_table(entries, asked.experiment))
    ensemble = board.ensemble(entries, asked.ensemble)
    if ensemble is not None:
        print_wide(ensemble_table(ensemble, entries))
    return 0


if __name__ == "__main__":
    _bootstrap.run(main)
