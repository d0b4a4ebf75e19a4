"""Which file of a folder is which video, and which names are safe to be one."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from pathlib import Path
from typing import Any

from talaria.errors import DataError

VIDEO_EXTENSIONS = frozenset(
    {
        "mp4",
        "m4v",
        "mov",
        "mkv",
        "webm",
        "avi",
        "flv",
        "ts",
        "m2ts",
        "mts",
        "mpg",
        "mpeg",
        "wmv",
        "asf",
        "3gp",
        "ogv",
    }
)
_LONGEST_NAME = 200


def name_problem(name: Any) -> str | None:
    """Why a text must not name a file, as the end of a sentence; None if it may.

    Ids and file names come from annotation files; they end up in paths, so they must not lead elsewhere.
    """
    if not isinstance(name, str) or not name.strip():
        return f"found {name!r}; expected a name"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return f"found {name!r}; expected text that can be a file name"
    if size > _LONGEST_NAME:
        return f"found a name of {size} bytes; expected at most {_LONGEST_NAME}"
    if name in (".", "..") or any(mark in "/\\" or unicodedata.category(mark) == "Cc" for mark in name):
        return f"found {name!r}; expected a plain name, without folders or control characters"
    return None


class VideoFolder:
    """The files of one folder, listed once."""

    def __init__(self, folder: Path) -> None:
        """List the folder.

        Raises:
            DataError: if it cannot be listed.
        """
        self._root = os.path.abspath(folder)
        self._names: set[str] = set()
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        try:
            with os.scandir(self._root) as entries:
                self._names.update(entry.name for entry in entries if entry.is_file())
        except OSError as error:
            raise DataError(
                f"{folder}: cannot be listed ({error.strerror}); expected the folder of videos"
            ) from None
        for name in sorted(self._names):
            stem, extension = os.path.splitext(name)
            if extension[1:].lower() in VIDEO_EXTENSIONS:
                self._by_stem[stem].append(os.path.join(self._root, name))

    def named(self, name: str) -> list[str]:
        """The absolute path of the file with exactly this name, or nothing."""
        return [os.path.join(self._root, name)] if name in self._names else []

    def of_video(self, video_id: str) -> list[str]:
        """Absolute paths of all files that could be this video: `<id>.<ext>` and `v_<id>.<ext>`."""
        return [path for stem in (video_id, f"v_{video_id}") for path in self._by_stem.get(stem, ())]
