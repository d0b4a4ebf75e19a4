"""Which layout an annotation file is in, by its content; its name does not count."""

from __future__ import annotations

from pathlib import Path

from talaria.data.annotation_file import decode_text, read_content
from talaria.data.layouts.evalkit import ZIP_MAGIC, read_evalkit
from talaria.data.layouts.json_tree import read_json_layout
from talaria.data.layouts.layout import Layout
from talaria.data.layouts.tables import read_table_layout
from talaria.errors import DataError


def read_layout(path: Path) -> Layout:
    """A file of any known layout as the ActivityNet tree.

    Args:
        path: JSON, CSV or text, plain or gzip; or THUMOS14's files of classes as a folder or zip.

    Raises:
        DataError: if it cannot be read or is in none of the layouts.
    """
    if path.is_dir():
        return read_evalkit(path)
    content = read_content(path)
    if content.startswith(ZIP_MAGIC):
        return read_evalkit(path)
    text = decode_text(path, content)
    start = text.lstrip()[:1]
    if not start:
        raise DataError(f"{path}: the file is empty; expected annotations in a known layout")
    if start not in "{[":
        layout = read_table_layout(path, text)
        if layout is not None:
            return layout
    return read_json_layout(path, text)
