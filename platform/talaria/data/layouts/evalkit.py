"""The official THUMOS14 annotations: a text file per class, in a folder or a zip.

A file is named `<class>_test.txt` or `<class>_val.txt`; its lines are `video start_s end_s`. The stretches
that the evaluation leaves out are in `Ambiguous_*.txt`; `detclasslist.txt`, where there, names the classes.
Source: THUMOS14_evalkit_20150930 and TH14_Temporal_annotations_validation, crcv.ucf.edu/THUMOS14.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

from talaria.data.layouts.layout import Layout, raise_problems
from talaria.errors import DataError

AMBIGUOUS = "Ambiguous"
"""Label of stretches of a THUMOS14 video that are neither action nor background."""

ZIP_MAGIC = b"PK\x03\x04"
_CLASS_FILE = re.compile(r"(.+)_(test|val|validation)\.txt")
_CLASS_LIST = "detclasslist.txt"
_SUBSETS = {"test": "testing", "val": "validation", "validation": "validation"}


def read_evalkit(path: Path) -> Layout:
    """The tree of a folder or zip, videos in the order of their names; ambiguous stretches keep their label.

    Raises:
        DataError: if it cannot be read, holds no file of a class, or a line is not `video start end`.
    """
    texts = _folder_texts(path) if path.is_dir() else _zip_texts(path)
    files = {name: match for name in sorted(texts) if (match := re.fullmatch(_CLASS_FILE, name))}
    if not files:
        raise DataError(
            f"{path}: has no <class>_test.txt or <class>_val.txt; expected the annotations of THUMOS14"
        )
    problems = _unlike_list(texts.get(_CLASS_LIST), {match[1] for match in files.values()})
    database: dict[str, Any] = {}
    for name, match in files.items():
        for number, line in enumerate(texts[name].splitlines(), 1):
            if line.strip():
                _add(database, match[1], _SUBSETS[match[2]], f"{name}, line {number}", line, problems)
    raise_problems(path, problems)
    if not database:
        raise DataError(f"{path}: its files of classes are empty; expected lines of video, start and end")
    return Layout(dict(sorted(database.items())))


def _add(
    database: dict[str, Any], label: str, subset: str, where: str, line: str, problems: list[str]
) -> None:
    """One line of a class file."""
    try:
        video_id, start, end = line.split()
        segment = [float(start), float(end)]
    except ValueError:
        problems.append(f"{where}: found {line.strip()!r:.60}; expected video, start and end in seconds")
        return
    entry = database.setdefault(video_id, {"subset": subset, "annotations": []})
    if entry["subset"] != subset:
        problems.append(f"{where}: video {video_id!r} is in the files of both subsets; expected one")
    entry["annotations"].append({"segment": segment, "label": label})


def _unlike_list(listing: str | None, found: set[str]) -> list[str]:
    """How the files of classes differ from the list of classes, if there is one."""
    if listing is None:
        return []
    listed = {line.split(maxsplit=1)[-1].strip() for line in listing.splitlines() if line.strip()}
    missing, strange = sorted(listed - found), sorted(found - listed - {AMBIGUOUS})
    return [f"class {name!r} of {_CLASS_LIST} has no file; expected one" for name in missing] + [
        f"the file of {name!r} is no class of {_CLASS_LIST}; expected one of its {len(listed)}"
        for name in strange
    ]


def _folder_texts(path: Path) -> dict[str, str]:
    """The text files of a folder by name."""
    try:
        return {file.name: file.read_text("utf-8-sig") for file in sorted(path.glob("[!.]*.txt"))}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); expected text files of classes") from None


def _zip_texts(path: Path) -> dict[str, str]:
    """The text files of a zip by name, whatever folder they are in."""
    texts: dict[str, str] = {}
    twice: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                name = member.rpartition("/")[2]
                if not name.endswith(".txt") or name.startswith("."):
                    continue
                if name in texts:
                    twice.append(f"{name} is there in two folders; expected once")
                texts[name] = archive.read(member).decode("utf-8-sig")
    except (OSError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError, RuntimeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); expected a zip of text files") from None
    raise_problems(path, twice)
    return texts
