"""Raw predictions of every member of a recipe; earlier stages run where they are missing."""

import _bootstrap


def main() -> int:
    from talaria.config.cli import recipe_parser

    arguments = recipe_parser(__doc__, "python jobs/predict.py --recipe jobs/recipes/demo.yaml").parse_args()

    from talaria.config.loading import load_recipe
    from talaria.log import setup_console
    from talaria.pipeline.run import run_pipeline

    setup_console()
    config = load_recipe(arguments.recipe, arguments.set)
    run_pipeline(
        config, _bootstrap.home(), _bootstrap.RUNTIME_ENV, until="predict", dry_run=arguments.dry_run
    )
    return 0


if __name__ == "__main__":
    _bootstrap.run(main)
