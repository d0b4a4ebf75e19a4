"""Annotation files of every layout Talaria knows, checked as a whole before anything is computed from them.

Whatever the layout, a file becomes the ActivityNet tree `{video_id: {"duration", "subset", "annotations":
[{"segment": [start_s, end_s], "label"}]}}`, and one checker reads that. The layouts are shown in
`docs/guides/formats.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from talaria.data.annotation_checks import Checker
from talaria.data.layouts.recognition import read_layout
from talaria.data.oddities import Oddity, counted, sentences
from talaria.data.segment_times import Ends
from talaria.data.subsets import SUBSETS, canonical_subset
from talaria.data.video_folder import VideoFolder
from talaria.records import Dataset

__all__ = ["SUBSETS", "LoadedAnnotations", "canonical_subset", "load_annotations"]


@dataclass(frozen=True)
class LoadedAnnotations:
    """A dataset, and what is odd in its file without being wrong.

    Attributes:
        dataset: the videos in file order; classes of all subsets, of segments and of whole videos.
        oddities: every odd place, in file order.
        notes: one sentence for each kind of oddity, with the count and an example.
    """

    dataset: Dataset
    oddities: tuple[Oddity, ...]
    notes: tuple[str, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many oddities of each kind there are; `talaria.data.oddities.KINDS` describes the kinds."""
        return counted(self.oddities)


def load_annotations(
    annotations_path: str | Path,
    videos_folder: str | Path | None,
    *,
    subsets: Sequence[str] = SUBSETS,
    ends: Ends = "clipped",
) -> LoadedAnnotations:
    """The annotated videos of a file in any known layout, and where their files lie.

    A video's file is the one that its `file` names, else `<id>.<ext>` or `v_<id>.<ext>` in the folder. A
    video without a file is kept, with `path` None.

    Args:
        annotations_path: JSON, CSV or text, plain or gzip; or THUMOS14's files of classes, a folder or a zip.
        videos_folder: folder of video files, not searched any deeper; None, for an evaluation, looks up no
            files and leaves every path None.
        subsets: names that `subset` may have, in any spelling that `canonical_subset` knows.
        ends: `clipped`, for training, cuts segments at 0 s and at the video's duration, and leaves out those
            that lie wholly outside, as long as they are at most one in twenty; more of them mean other units
            than seconds, or the wrong file. `kept`, for a judge, leaves all times as official code sees them.

    Raises:
        DataError: with the first 20 problems and the count of the rest; each names file, video and field.
    """
    path = Path(annotations_path)
    layout = read_layout(path)
    folder = None if videos_folder is None else VideoFolder(Path(videos_folder))
    names = tuple(dict.fromkeys(map(canonical_subset, subsets)))
    checker = Checker(path, names, folder, ends, layout.list_name)
    videos = tuple(checker.videos(layout.database))
    checker.raise_problems()
    oddities = (*layout.oddities, *checker.oddities)
    labels = {label for video in videos for label in video.labels}
    labels.update(annotation.label for video in videos for annotation in video.annotations)
    return LoadedAnnotations(Dataset(tuple(sorted(labels)), videos), oddities, sentences(str(path), oddities))
