"""Annotation JSON from disk: plain or gzip, with keys that occur twice remembered instead of lost."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from talaria.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"


class Repeated(dict[str, Any]):
    """A JSON object in which some key occurs more than once; it holds the last value of each.

    Attributes:
        repeated: those keys, in order and once each.
    """

    repeated: tuple[str, ...] = ()


def read_database(path: Path) -> dict[str, Any]:
    """The `database` object of an annotation file.

    Raises:
        DataError: if the file cannot be read, is not JSON, or has no database.
    """
    content = _content(path)
    try:
        tree = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_json_object)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: is not JSON ({error}); expected annotations in the ActivityNet layout"
        ) from None
    database = tree.get("database") if isinstance(tree, dict) else None
    if not isinstance(database, dict):
        raise DataError(
            f"{path}: has no object named database; expected annotations in the ActivityNet layout"
        )
    if not database:
        raise DataError(f"{path}: its database is empty; expected at least one video")
    return database


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: is damaged gzip ({error}); expected JSON, plain or gzip") from None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be read ({reason}); expected an annotation file") from None


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    counts = Counter(key for key, _ in pairs)
    result = Repeated(plain)
    result.repeated = tuple(key for key, count in counts.items() if count > 1)
    return result
