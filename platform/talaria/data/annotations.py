"""HACS and ActivityNet annotation files, checked as a whole before anything is computed from them.

Layout: `{"database": {video_id: {"duration", "subset", "annotations": [{"segment": [s, e], "label"}]}}}`,
times in seconds; `file` beside `duration` may name the video's file.
Source: github.com/activitynet/ActivityNet; github.com/hangzhaomit/HACS-dataset, where duration is text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talaria.data.annotation_file import Repeated, read_database
from talaria.data.video_folder import VideoFolder, name_problem
from talaria.errors import DataError
from talaria.records import Annotation, Dataset, Video

SUBSETS = ("training", "validation", "testing")
OVERSHOOT_S = 1.0
"""Ends this far past the duration are clipped: real files hold them (ActivityNet 1.3: up to 0.85 s)."""
_SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class LoadedAnnotations:
    """A dataset, and what is odd in its file without being wrong.

    Attributes:
        dataset: the videos in file order; classes of all subsets.
        notes: one sentence per oddity, for a report; nothing was removed because of them.
    """

    dataset: Dataset
    notes: tuple[str, ...]


def load_annotations(
    annotations_path: str | Path, videos_folder: str | Path | None, *, subsets: Sequence[str] = SUBSETS
) -> LoadedAnnotations:
    """The annotated videos of a HACS or ActivityNet file, and where their files lie.

    A video's file is the one that its `file` names, else `<id>.<ext>` or `v_<id>.<ext>` in the folder. A
    video without a file is kept, with `path` None.

    Args:
        annotations_path: JSON, plain or gzip.
        videos_folder: folder of video files, not searched any deeper; None, for an evaluation, looks up no
            files and leaves every path None.
        subsets: names that `subset` may have.

    Raises:
        DataError: with the first 20 problems and the count of the rest; each names file, video and field.
    """
    path = Path(annotations_path)
    database = read_database(path)
    folder = None if videos_folder is None else VideoFolder(Path(videos_folder))
    reading = _Reading(str(path), tuple(subsets), folder)
    if isinstance(database, Repeated):
        for video_id in database.repeated:
            reading.report(video_id, "", "is there more than once; expected every id once")
    videos = [reading.video(video_id, entry) for video_id, entry in database.items()]
    reading.raise_problems()
    labels = {annotation.label for video in videos for annotation in video.annotations}
    return LoadedAnnotations(Dataset(tuple(sorted(labels)), tuple(videos)), reading.all_notes())


@dataclass
class _Reading:
    """One pass over a database, which gathers problems and notes on its way."""

    source: str
    subsets: tuple[str, ...]
    folder: VideoFolder | None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    overshoots_s: list[float] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def report(self, video_id: str, place: str, problem: str) -> None:
        """Remember a problem at `place` of a video's entry."""
        where = f"{place}: " if place else ""
        self.problems.append(f"{self.source}: video {video_id!r}: {where}{problem}")

    def note(self, video_id: str, place: str, oddity: str) -> None:
        """Remember an oddity at `place` of a video's entry."""
        self.notes.append(f"{self.source}: video {video_id!r}: {place}: {oddity}")

    def raise_problems(self) -> None:
        """Raise what was found, if anything."""
        hidden = len(self.problems) - _SHOWN_PROBLEMS
        shown = self.problems[:_SHOWN_PROBLEMS]
        if hidden > 0:
            shown.append(f"{self.source}: and {hidden} more problems of these kinds")
        if shown:
            raise DataError(shown)

    def all_notes(self) -> tuple[str, ...]:
        """The notes, and one line about all clipped segments together."""
        if not self.overshoots_s:
            return tuple(self.notes)
        clipped = (
            f"{len(self.overshoots_s)} segments reach up to {max(self.overshoots_s):.3g} s past the duration"
        )
        return (*self.notes, f"{self.source}: {clipped}; clipped there")

    def video(self, video_id: str, entry: Any) -> Video:
        """One entry of the database; what it returns is only used when no problem was found."""
        unsafe = name_problem(video_id)
        if unsafe is not None:
            self.report(video_id, "id", unsafe)
        if not isinstance(entry, Mapping):
            self.report(video_id, "", f"holds {_shown(entry)}; expected duration, subset and annotations")
            return Video(video_id, None, "", None, ())
        self._no_repeats(video_id, "", entry)
        duration_s = self._duration_s(video_id, entry)
        return Video(
            video_id=video_id,
            path=None if unsafe is not None else self._path(video_id, entry),
            subset=self._subset(video_id, entry),
            duration_s=duration_s,
            annotations=self._annotations(video_id, entry, duration_s),
        )

    def _no_repeats(self, video_id: str, place: str, entry: Mapping[str, Any]) -> None:
        if isinstance(entry, Repeated):
            names = ", ".join(repr(name) for name in entry.repeated)
            self.report(video_id, place, f"the field {names} is there more than once; expected once")

    def _subset(self, video_id: str, entry: Mapping[str, Any]) -> str:
        subset = entry.get("subset")
        if subset not in self.subsets:
            self.report(
                video_id, "subset", f"found {_shown(subset)}; expected one of {', '.join(self.subsets)}"
            )
        return str(subset)

    def _duration_s(self, video_id: str, entry: Mapping[str, Any]) -> float | None:
        found = entry.get("duration")
        if found is None:
            return None
        seconds = _number(found, text_too=True)
        if seconds is None or seconds <= 0:
            self.report(video_id, "duration", f"found {_shown(found)}; expected a positive number of seconds")
            return None
        return seconds

    def _path(self, video_id: str, entry: Mapping[str, Any]) -> str | None:
        named = entry.get("file")
        if named is not None:
            unsafe = name_problem(named)
            if unsafe is not None:
                self.report(video_id, "file", unsafe)
                return None
        if self.folder is None:
            return None
        found = self.folder.named(named) if named is not None else self.folder.of_video(video_id)
        if len(found) > 1:
            names = ", ".join(Path(path).name for path in found)
            self.report(video_id, "file", f"{names} all fit; expected one, or the field file to name it")
        path = found[0] if found else None
        if path is not None and self.files.setdefault(path, video_id) != video_id:
            self.note(video_id, "file", f"{Path(path).name} also belongs to video {self.files[path]!r}")
        return path

    def _annotations(
        self, video_id: str, entry: Mapping[str, Any], duration_s: float | None
    ) -> tuple[Annotation, ...]:
        items = entry.get("annotations")
        if items is None:
            self.note(video_id, "annotations", "absent; read as a video without labels")
            return ()
        if not isinstance(items, list):
            self.report(video_id, "annotations", f"found {_shown(items)}; expected a list")
            return ()
        kept: dict[Annotation, int] = {}
        annotations = []
        for index, item in enumerate(items):
            place = f"annotations[{index}]"
            annotation = self._annotation(video_id, place, item, duration_s)
            if annotation is None:
                continue
            first = kept.setdefault(annotation, index)
            if first != index:
                self.note(video_id, place, f"is the same as annotations[{first}]")
            if annotation.start_s == annotation.end_s:
                self.note(video_id, place, f"starts and ends at {annotation.start_s:g} s")
            annotations.append(annotation)
        return tuple(annotations)

    def _annotation(
        self, video_id: str, place: str, item: Any, duration_s: float | None
    ) -> Annotation | None:
        if not isinstance(item, Mapping):
            self.report(video_id, place, f"found {_shown(item)}; expected segment and label")
            return None
        self._no_repeats(video_id, place, item)
        label = item.get("label")
        if not _is_text(label):
            self.report(video_id, f"{place}.label", f"found {_shown(label)}; expected the name of a class")
        ends = self._segment(video_id, f"{place}.segment", item.get("segment"), duration_s)
        return Annotation(*ends, label) if ends is not None and isinstance(label, str) else None

    def _segment(
        self, video_id: str, place: str, segment: Any, duration_s: float | None
    ) -> tuple[float, float] | None:
        numbers = [_number(value) for value in segment] if isinstance(segment, list) else []
        ends = [number for number in numbers if number is not None]
        if len(numbers) != 2 or len(ends) != 2:
            self.report(
                video_id, place, f"found {_shown(segment)}; expected [start, end], two finite numbers"
            )
            return None
        start_s, end_s = ends
        if start_s < 0 or end_s < start_s:
            self.report(video_id, place, f"found {_shown(segment)}; expected 0 <= start <= end")
            return None
        if duration_s is None or end_s <= duration_s:
            return start_s, end_s
        if end_s > duration_s + OVERSHOOT_S:
            self.report(
                video_id, place, f"ends at {end_s:g} s; expected the duration, {duration_s:g} s, at most"
            )
            return None
        self.overshoots_s.append(end_s - duration_s)
        return min(start_s, duration_s), duration_s


def _is_text(label: Any) -> bool:
    """Whether a label says something and can be written to a file (JSON may hold halves of characters)."""
    return isinstance(label, str) and bool(label.strip()) and label.encode(errors="replace").decode() == label


def _number(value: Any, *, text_too: bool = False) -> float | None:
    """A finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str) if text_too else (int, float)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _shown(value: Any) -> str:
    """A found value, short enough for a sentence."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
