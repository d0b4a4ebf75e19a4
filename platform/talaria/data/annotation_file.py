"""Annotation files from disk: plain or gzip, JSON with keys that occur twice remembered instead of lost."""

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


def read_content(path: Path) -> bytes:
    """The bytes of a file, unpacked where they are gzip.

    Raises:
        DataError: if the file cannot be read or is damaged gzip.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: is damaged gzip ({error}); expected an annotation file, plain or gzip"
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be read ({reason}); expected an annotation file") from None


def decode_text(path: Path, content: bytes) -> str:
    """The text of a file.

    Raises:
        DataError: if it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not text ({error}); expected an annotation file in UTF-8") from None


def parse_json(path: Path, text: str) -> Any:
    """The value of a JSON text; objects with repeated keys are `Repeated`.

    Raises:
        DataError: if it is not JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=unrepeated)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: is not JSON ({error}), perhaps truncated; expected annotations in a known layout"
        ) from None


def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Key and value pairs as a dictionary, a `Repeated` one if a key is there twice."""
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    counts = Counter(key for key, _ in pairs)
    result = Repeated(plain)
    result.repeated = tuple(key for key, count in counts.items() if count > 1)
    return result
