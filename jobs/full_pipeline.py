"""Raw videos to fused, tracked, scored segments: every stage of a recipe, skipping what is finished."""

import _bootstrap


def main() -> int:
    from talaria.config.cli import recipe_parser

    example = "python jobs/full_pipeline.py --recipe jobs/recipes/demo.yaml --set run.name=try1"
    arguments = recipe_parser(__doc__, example).parse_args()

    from talaria.config.loading import load_recipe
    from talaria.log import setup_console
    from talaria.pipeline.run import run_pipeline

    setup_console()
    config = load_recipe(arguments.recipe, arguments.set)
    run_pipeline(config, _bootstrap.home(), _bootstrap.RUNTIME_ENV, dry_run=arguments.dry_run)
    return 0


if __name__ == "__main__":
    _bootstrap.run(main)
