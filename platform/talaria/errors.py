"""Errors that a user can mend: one sentence each, exit code 2, no traceback."""

from __future__ import annotations

from collections.abc import Sequence


class TalariaError(Exception):
    """Base of every error whose message is meant for the person at the terminal."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        """Keep every problem found, so that all are shown at once.

        Args:
            problems: one sentence, or several: what was found, what was expected, which setting changes it.
        """
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)

    def __reduce__(self) -> tuple[type[TalariaError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class ConfigError(TalariaError):
    """A recipe or a command line that cannot be run as it stands."""


class DataError(TalariaError):
    """A file (annotations, video, features, predictions) that is not what it should be."""


class DriftError(TalariaError):
    """A finished artifact was made with other settings than those now asked for."""


class StageError(TalariaError):
    """A stage that could not go on: too many failures, or nothing left to work on."""
