"""What the jobs share that run a recipe up to one stage."""

from __future__ import annotations

import _bootstrap


def run_recipe(description: str | None, job: str, until: str) -> None:
    """Run a job that takes a recipe through the chain up to one stage.

    Args:
        description: what --help says of it.
        job: its file name, for the example.
        until: the last stage to run.
    """

    def main() -> int:
        from talaria.config.cli import recipe_parser

        example = f"python jobs/{job}.py --recipe jobs/recipes/demo.yaml --set run.name=try1"
        arguments = recipe_parser(description or "", example).parse_args()

        from talaria.config.loading import load_recipe
        from talaria.log import setup_console
        from talaria.pipeline.run import run_pipeline

        setup_console()
        config = load_recipe(arguments.recipe, arguments.set)
        run_pipeline(
            config, _bootstrap.home(), _bootstrap.RUNTIME_ENV, until=until, dry_run=arguments.dry_run
        )
        return 0

    _bootstrap.run(main)
