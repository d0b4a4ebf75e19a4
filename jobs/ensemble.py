"""Learn fusion weights over the members that an MLflow filter finds, and judge them on unseen videos."""

import _bootstrap


def main() -> int:
    from talaria.config.cli import recipe_parser

    example = (
        "python jobs/ensemble.py --recipe runs/demo/recipe.json --members \"tags.talaria.member = 'yes'\""
    )
    parser = recipe_parser(__doc__, example)
    parser.add_argument(
        "--members",
        metavar="CHOICE",
        help="MLflow filter over runs (default: the tag that people set in the UI); registered versions, "
        "'models:/NAME@ALIAS, models:/OTHER/3'; or a filter over versions, \"versions: tags.team = 'blue'\"",
    )
    arguments = parser.parse_args()

    from talaria.config.loading import load_recipe
    from talaria.log import setup_console
    from talaria.pipeline.run import fuse_members

    setup_console()
    config = load_recipe(arguments.recipe, arguments.set)
    if arguments.members:
        ensemble = config.ensemble.model_copy(update={"members": arguments.members})
        config = config.model_copy(update={"ensemble": ensemble})
    fuse_members(config, _bootstrap.home(), _bootstrap.RUNTIME_ENV, dry_run=arguments.dry_run)
    return 0


if __name__ == "__main__":
    _bootstrap.run(main)
