"""The flags that all jobs share."""

from __future__ import annotations

import argparse


def recipe_parser(description: str, example: str) -> argparse.ArgumentParser:
    """A parser with --recipe, --set and --dry-run.

    Args:
        description: what the job does, one sentence.
        example: a command that a reader can copy.
    """
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--recipe", required=True, help="recipe in YAML, such as jobs/recipes/demo.yaml")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change one setting, such as detectors.bmn64.optim.lr=3e-4; may be repeated",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the resolved recipe and the stages; do nothing"
    )
    return parser
