"""Layouts of lines and columns: BMN's video list, labels of whole videos, and KTH's frame ranges."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from talaria.data.annotation_file import decode_text, read_content, unrepeated
from talaria.data.layouts.layout import UNSPECIFIED, Layout, raise_problems
from talaria.data.oddities import Oddity
from talaria.errors import DataError

INFO_NAMES = ("video_info_new.csv", "video_info_new.csv.gz")
"""What BMN's list of videos is called, beside its annotations."""

_INFO_HEADER = ("video", "numFrame", "seconds", "fps", "rfps", "subset", "featureFrame")
_LABEL_HEADERS = (("video_id", "label"), ("video_id", "label", "subset"))

KTH_FPS = 25.0
"""Frames a second of every KTH video."""
KTH_SUBSETS = {
    "training": (11, 12, 13, 14, 15, 16, 17, 18),
    "validation": (19, 20, 21, 23, 24, 25, 1, 4),
    "testing": (22, 2, 3, 5, 6, 7, 8, 9, 10),
}
"""Persons of each subset. Source: the head of the dataset's own 00sequences.txt (Schuldt et al., 2004)."""

_KTH_LINE = re.compile(r"(person(\d{1,9})_([a-z]+)_d\d)\s+(?:frames\s+)?(\S.*)")
_KTH_SIGN = re.compile(r"^person\d+_[a-z]+_d\d\s+frames\s", re.MULTILINE)
_KTH_RANGE = re.compile(r"(\d{1,9})-(\d{1,9})")


def read_table_layout(path: Path, text: str) -> Layout | None:
    """The tree of a file of lines; None if it is in none of these layouts.

    Raises:
        DataError: naming the lines that are not what the layout says.
    """
    header = tuple(name.strip() for name in text.partition("\n")[0].split(","))
    if header == _INFO_HEADER:
        return _video_info(path, text)
    if header in _LABEL_HEADERS:
        return _labels(path, text)
    return _kth(path, text) if re.search(_KTH_SIGN, text) else None


def subsets_beside(path: Path) -> dict[str, str]:
    """Subset of each video in the list beside a BMN annotation file; empty if there is no list.

    Raises:
        DataError: if the list is not what its layout says.
    """
    for info in (path.with_name(name) for name in INFO_NAMES):
        if info.is_file():
            layout = read_table_layout(info, decode_text(info, read_content(info)))
            if layout is None:
                raise DataError(
                    f"{info}: does not begin with {','.join(_INFO_HEADER)}; expected BMN's video list"
                )
            return {video_id: str(entry["subset"]) for video_id, entry in layout.database.items()}
    return {}


def _rows(path: Path, text: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row below the header; rows of another width are problems."""
    reader = csv.reader(text.splitlines(), strict=True)
    width = 0
    try:
        for row in reader:
            width = width or len(row)
            if row and len(row) != width:
                problems.append(f"line {reader.line_num}: found {len(row)} cells; expected {width}")
            elif row and reader.line_num > 1:
                yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: {error}; expected comma-separated cells")
    raise_problems(path, problems)


def _video_info(path: Path, text: str) -> Layout:
    """Videos with length and subset, without annotations."""
    pairs: list[tuple[str, Any]] = []
    for _, row in _rows(path, text, []):
        named = dict(zip(_INFO_HEADER, row, strict=True))
        pairs.append(
            (named["video"], {"duration": named["seconds"], "subset": named["subset"], "annotations": []})
        )
    if not pairs:
        raise DataError(f"{path}: has a header and no rows; expected a row for each video")
    return Layout(unrepeated(pairs))


def _labels(path: Path, text: str) -> Layout:
    """Labels of whole videos, a row for each."""
    database: dict[str, Any] = {}
    oddities: list[Oddity] = []
    problems: list[str] = []
    for line, (video_id, label, *subset) in _rows(path, text, problems):
        named = (subset[0] if subset else "") or UNSPECIFIED
        if named == UNSPECIFIED and video_id not in database:
            oddities.append(Oddity("no_subset", video_id, "subset", "absent"))
        entry = database.setdefault(video_id, {"subset": named, "annotations": [], "labels": []})
        if entry["subset"] != named:
            problems.append(
                f"line {line}: video {video_id!r}: subset is {named!r}, above it was {entry['subset']!r}; "
                "expected one subset a video"
            )
        entry["labels"].append(label)
    if not database:
        raise DataError(f"{path}: has a header and no rows; expected a row for each label of a video")
    return Layout(database, oddities)


def _kth(path: Path, text: str) -> Layout:
    """Frame ranges, counted from 1 and inclusive; lines before the first video are the file's head."""
    subset_of = {person: name for name, persons in KTH_SUBSETS.items() for person in persons}
    pairs: list[tuple[str, Any]] = []
    oddities: list[Oddity] = []
    problems: list[str] = []
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        match = re.fullmatch(_KTH_LINE, line)
        if match is None:
            if line and (pairs or oddities):
                problems.append(f"line {number}: found {line!r:.60}; expected NAME frames FIRST-LAST, ...")
            continue
        video_id, person, label, listed = match.groups()
        if "missing" in listed:
            oddities.append(Oddity("no_video", video_id, "", f"listed as {listed}"))
        elif int(person) not in subset_of:
            problems.append(f"line {number}: person {person} is in no subset; expected 01 to 25")
        else:
            annotations = _frame_ranges(f"line {number}: video {video_id!r}", listed, label, problems)
            pairs.append((video_id, {"subset": subset_of[int(person)], "annotations": annotations}))
    raise_problems(path, problems)
    return Layout(unrepeated(pairs), oddities)


def _frame_ranges(where: str, listed: str, label: str, problems: list[str]) -> list[dict[str, Any]]:
    """`1-95, 96-185` as seconds: frame 1 begins at 0 s and the last frame belongs to the segment."""
    found = [re.fullmatch(_KTH_RANGE, part.strip()) for part in listed.split(",")]
    spans = [(int(match[1]), int(match[2])) for match in found if match is not None]
    if len(spans) != len(found) or any(not 1 <= first <= last for first, last in spans):
        problems.append(f"{where}: found {listed!r:.60}; expected ranges FIRST-LAST of frames, from 1")
    return [{"segment": [(first - 1) / KTH_FPS, last / KTH_FPS], "label": label} for first, last in spans]
