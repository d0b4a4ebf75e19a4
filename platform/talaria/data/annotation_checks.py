"""The one checker of annotations: an ActivityNet tree in, records out, with all problems and oddities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talaria.data.annotation_file import Repeated
from talaria.data.classes import is_thumos
from talaria.data.layouts.evalkit import AMBIGUOUS
from talaria.data.layouts.layout import UNSPECIFIED, raise_problems
from talaria.data.oddities import Oddity
from talaria.data.segment_times import Ends, settle
from talaria.data.subsets import canonical_subset
from talaria.data.values import finite_number, is_class_name, shown
from talaria.data.video_folder import VideoFolder, name_problem
from talaria.records import Annotation, Video

MOST_OUTSIDE_FRAC = 0.05
"""Share of a file's segments that may lie outside their videos (THUMOS14: 0.005, MultiTHUMOS: 0.002)."""

Span = tuple[float, float]


@dataclass
class Checker:
    """One pass over a tree, which gathers problems and oddities on its way.

    Attributes:
        path: the file, for messages.
        subsets: canonical names that a subset may have.
        folder: where video files lie; None looks for none.
        ends: whether segments are clipped at the ends of their video.
        list_name: what the file calls `annotations`.
    """

    path: Path
    subsets: tuple[str, ...]
    folder: VideoFolder | None
    ends: Ends
    list_name: str
    problems: list[str] = field(default_factory=list)
    oddities: list[Oddity] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    num_segments: int = 0

    def videos(self, database: Mapping[str, Any]) -> Iterator[Video]:
        """The records of a tree, to be used once `raise_problems` has found none."""
        if isinstance(database, Repeated):
            for video_id in database.repeated:
                self.report(video_id, "", "is there more than once; expected every id once")
        for video_id, entry in database.items():
            yield self.video(video_id, entry)

    def report(self, video_id: str, place: str, problem: str) -> None:
        """Remember a problem at `place` of a video's entry."""
        where = f"{place}: " if place else ""
        self.problems.append(f"video {video_id!r}: {where}{problem}")

    def note(self, kind: str, video_id: str, place: str, text: str) -> None:
        """Remember an oddity at `place` of a video's entry."""
        self.oddities.append(Oddity(kind, video_id, place, text))

    def raise_problems(self) -> None:
        """Raise what was found, if anything; too many segments outside their videos are problems, too.

        Raises:
            DataError: with the first 20 problems and the count of the rest.
        """
        outside = [oddity for oddity in self.oddities if oddity.kind == "outside"]
        if self.ends == "clipped" and len(outside) > MOST_OUTSIDE_FRAC * self.num_segments:
            for found in outside:
                span = found.text.rpartition(";")[0]
                self.report(found.video_id, found.place, f"{span}; expected seconds within the video")
        raise_problems(self.path, self.problems)

    def video(self, video_id: str, entry: Any) -> Video:
        """One entry of the tree."""
        unsafe = name_problem(video_id)
        if unsafe is not None:
            self.report(video_id, "id", unsafe)
        if not isinstance(entry, Mapping):
            self.report(video_id, "", f"holds {shown(entry)}; expected duration, subset and annotations")
            return Video(video_id, None, "", None, ())
        self._no_repeats(video_id, "", entry)
        duration_s = self._duration_s(video_id, entry)
        annotations, ambiguous = self._annotations(video_id, entry, duration_s)
        named = {annotation.label for annotation in annotations}
        return Video(
            video_id=video_id,
            path=None if unsafe is not None else self._path(video_id, entry),
            subset=self._subset(video_id, entry),
            duration_s=duration_s,
            annotations=annotations,
            labels=tuple(label for label in self._labels(video_id, entry) if label not in named),
            ambiguous=ambiguous,
        )

    def _no_repeats(self, video_id: str, place: str, entry: Mapping[str, Any]) -> None:
        if isinstance(entry, Repeated):
            names = ", ".join(repr(name) for name in entry.repeated)
            self.report(video_id, place, f"the field {names} is there more than once; expected once")

    def _subset(self, video_id: str, entry: Mapping[str, Any]) -> str:
        found = entry.get("subset")
        subset = canonical_subset(found) if isinstance(found, str) else found
        if subset not in (*self.subsets, UNSPECIFIED):
            expected = ", ".join(self.subsets)
            self.report(video_id, "subset", f"found {shown(found)}; expected one of {expected}")
        return str(subset)

    def _duration_s(self, video_id: str, entry: Mapping[str, Any]) -> float | None:
        found = entry.get("duration")
        if found is None:
            return None
        seconds = finite_number(found)
        if seconds is None or seconds <= 0:
            self.report(video_id, "duration", f"found {shown(found)}; expected a positive number of seconds")
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
            text = f"{Path(path).name} also belongs to video {self.files[path]!r}"
            self.note("shared_file", video_id, "file", text)
        return path

    def _labels(self, video_id: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
        """Labels of the video as a whole, each once."""
        items = entry.get("labels")
        if items is None:
            return ()
        if not isinstance(items, list):
            self.report(video_id, "labels", f"found {shown(items)}; expected a list of classes")
            return ()
        kept: dict[str, int] = {}
        for index, label in enumerate(items):
            if self._is_label(video_id, f"labels[{index}]", label) and kept.setdefault(label, index) != index:
                self.note("duplicate", video_id, f"labels[{index}]", f"is the same as labels[{kept[label]}]")
        if kept and not entry.get("annotations"):
            self.note("labels_only", video_id, "labels", f"{len(kept)}, without times")
        return tuple(kept)

    def _is_label(self, video_id: str, place: str, label: Any) -> bool:
        if is_class_name(label):
            return True
        self.report(video_id, place, f"found {shown(label)}; expected the name of a class")
        return False

    def _annotations(
        self, video_id: str, entry: Mapping[str, Any], duration_s: float | None
    ) -> tuple[tuple[Annotation, ...], tuple[Span, ...]]:
        """The labelled segments, and the ambiguous stretches of THUMOS14."""
        annotations: list[Annotation] = []
        ambiguous = self._ambiguous(video_id, entry, duration_s)
        seen: dict[tuple[Span, str], int] = {}
        for index, item in enumerate(self._items(video_id, entry)):
            place = f"{self.list_name}[{index}]"
            if not isinstance(item, Mapping):
                self.report(video_id, place, f"found {shown(item)}; expected segment and label")
                continue
            self._no_repeats(video_id, place, item)
            label: Any = item.get("label")
            span = self._segment(video_id, f"{place}.segment", item.get("segment"))
            if not self._is_label(video_id, f"{place}.label", label) or span is None:
                continue
            first = seen.setdefault((span, label), index)
            if first != index:
                self.note("duplicate", video_id, place, f"is the same as {self.list_name}[{first}]")
            settled = self._settled(video_id, place, span, duration_s)
            if settled is not None and label == AMBIGUOUS and is_thumos(video_id):
                ambiguous.append(settled)
            elif settled is not None:
                annotations.append(Annotation(*settled, label))
        return tuple(annotations), tuple(ambiguous)

    def _items(self, video_id: str, entry: Mapping[str, Any]) -> list[Any]:
        items = entry.get("annotations")
        if isinstance(items, list):
            return items
        if items is not None:
            self.report(video_id, self.list_name, f"found {shown(items)}; expected a list")
        elif "labels" not in entry:
            self.note("no_annotations", video_id, self.list_name, "absent; read as a video without labels")
        return []

    def _ambiguous(self, video_id: str, entry: Mapping[str, Any], duration_s: float | None) -> list[Span]:
        """The stretches that the tree itself calls ambiguous."""
        items = entry.get("ambiguous", [])
        if not isinstance(items, list):
            self.report(video_id, "ambiguous", f"found {shown(items)}; expected a list of [start, end]")
            return []
        settled = []
        for index, item in enumerate(items):
            place = f"ambiguous[{index}]"
            span = self._segment(video_id, place, item)
            settled.append(None if span is None else self._settled(video_id, place, span, duration_s))
        return [span for span in settled if span is not None]

    def _segment(self, video_id: str, place: str, segment: Any) -> Span | None:
        """Start and end as the file has them."""
        numbers = [finite_number(value) for value in segment] if isinstance(segment, list) else []
        ends = [number for number in numbers if number is not None]
        if len(numbers) != 2 or len(ends) != 2:
            self.report(video_id, place, f"found {shown(segment)}; expected [start, end], two finite numbers")
            return None
        if ends[1] < ends[0]:
            self.report(video_id, place, f"found {shown(segment)}; expected start <= end")
            return None
        if any(isinstance(value, str) for value in segment):
            self.note("numeric_text", video_id, place, f"found {shown(segment)}, read as numbers")
        return ends[0], ends[1]

    def _settled(self, video_id: str, place: str, span: Span, duration_s: float | None) -> Span | None:
        """A segment after the look at its video's length; None if nothing of it is left."""
        self.num_segments += 1
        settled = settle(*span, duration_s, self.ends)
        for kind, text in settled.oddities:
            self.note(kind, video_id, place, text)
        return settled.ends_s
