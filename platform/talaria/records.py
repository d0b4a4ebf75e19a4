"""The records that every room speaks: annotated videos and scored segments. Times are seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Annotation:
    """A labelled true segment; start_s <= end_s (real files hold a few zero-length ones).

    Training sees no time before 0 s; a judge sees times as the file has them.
    """

    start_s: float
    end_s: float
    label: str


@dataclass(frozen=True)
class Video:
    """One untrimmed video.

    Attributes:
        video_id: its name in the annotations; unique in the dataset, never used as a path unchecked.
        path: absolute path of the file, or None when the annotations name a video that is not there.
        subset: `training`, `validation`, `testing`, or whatever the annotations say.
        duration_s: annotated length, or None where the annotations give none.
        annotations: in file order; empty for videos of unlabelled subsets.
        labels: of the video as a whole, without times; where annotations name labels, these are not repeated.
        ambiguous: (start_s, end_s) of stretches that the THUMOS14 rules leave out of the judgement.
    """

    video_id: str
    path: str | None
    subset: str
    duration_s: float | None
    annotations: tuple[Annotation, ...]
    labels: tuple[str, ...] = ()
    ambiguous: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Annotated videos in file order and the class list that numbers the labels.

    Attributes:
        classes: labels in sorted order; a class index is its position here.
    """

    classes: tuple[str, ...]
    videos: tuple[Video, ...]

    def subset(self, name: str) -> tuple[Video, ...]:
        """The videos of one subset, in file order."""
        return tuple(video for video in self.videos if video.subset == name)

    def subsets(self) -> tuple[str, ...]:
        """The names of the subsets that occur, sorted."""
        return tuple(sorted({video.subset for video in self.videos}))


@dataclass(frozen=True)
class Detection:
    """A scored, labelled segment of one video."""

    start_s: float
    end_s: float
    label: str
    score: float
