"""Bytes of prediction files: unpacked on the way in, whole or not at all on the way out."""

from __future__ import annotations

import gzip
import os
import uuid
import zlib
from pathlib import Path

from talaria.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"


def read_text(path: Path) -> str:
    """The text of a file, gzipped or not, whatever its name.

    Raises:
        DataError: if it cannot be read, is not UTF-8, or is empty.
    """
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}), expected a file of predictions") from error
    if not text or text.isspace():
        raise DataError(f"{path}: the file is empty, expected predictions")
    return text


def begins_with(path: Path, magic: bytes) -> bool:
    """Whether a file begins with these bytes; not if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all; its folder must exist."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with aside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
