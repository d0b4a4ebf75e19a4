"""Dense features of every video of a recipe, with contract and failure ledger; fine-tunes backbones first.

With --verify nothing changes: shards are read, a sample is computed again; the exit code is 1 if any differs.
"""

import _bootstrap


def main() -> int:
    from talaria.config.cli import recipe_parser

    parser = recipe_parser(
        __doc__, "python jobs/extract_features.py --recipe jobs/recipes/demo.yaml --retry-failed"
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="try the videos again that failed earlier"
    )
    parser.add_argument(
        "--verify",
        type=float,
        metavar="N",
        help="check what is there: read every shard, compute N videos again, or a part such as 0.05",
    )
    arguments = parser.parse_args()

    from talaria.config.loading import load_recipe
    from talaria.log import setup_console
    from talaria.pipeline.run import run_pipeline

    setup_console()
    config = load_recipe(arguments.recipe, arguments.set)
    if arguments.verify is not None:
        from talaria.pipeline.verify import verify_features

        return 0 if verify_features(config, _bootstrap.home(), arguments.verify) else 1
    run_pipeline(
        config,
        _bootstrap.home(),
        _bootstrap.RUNTIME_ENV,
        until="features",
        dry_run=arguments.dry_run,
        retry_failed=arguments.retry_failed,
    )
    return 0


if __name__ == "__main__":
    _bootstrap.run(main)
