"""Which videos a stage uses, given what became of them so far."""

from __future__ import annotations

from collections.abc import Iterable

from talaria.records import Annotation, Dataset, Video
from talaria.store.ledger import Ledger
from talaria.training.job import LabelledVideo, TaggedVideo


def labelled_videos(
    videos: Iterable[Video], ledger: Ledger, tolerance_frac: float
) -> tuple[LabelledVideo, ...]:
    """Videos to train on: features are there and the real length is the annotated one.

    Segments are cut at the decoded end; one that begins after it is dropped.
    """
    usable: list[LabelledVideo] = []
    for video in videos:
        row = ledger.rows.get(video.video_id)
        if row is None or row.status != "done" or row.decoded_s is None or row.length_differs(tolerance_frac):
            continue
        notes = tuple(
            Annotation(note.start_s, min(note.end_s, row.decoded_s), note.label)
            for note in video.annotations
            if note.start_s < row.decoded_s
        )
        usable.append(LabelledVideo(video.video_id, row.decoded_s, notes))
    return tuple(usable)


def tagged_videos(videos: Iterable[Video], ledger: Ledger, tolerance_frac: float) -> tuple[TaggedVideo, ...]:
    """The same videos with their classes alone, in alphabetical order; segments are not looked at."""
    return tuple(
        TaggedVideo(video.video_id, row.decoded_s, tuple(sorted({note.label for note in video.annotations})))
        for video in videos
        if (row := ledger.rows.get(video.video_id)) is not None
        and row.status == "done"
        and row.decoded_s is not None
        and not row.length_differs(tolerance_frac)
    )


def unlike_annotated(videos: Iterable[Video], ledger: Ledger, tolerance_frac: float) -> list[dict[str, str]]:
    """Training videos left out because of their length, as rows of the summary."""
    found = []
    for video in videos:
        row = ledger.rows.get(video.video_id)
        if row is not None and row.status == "done" and row.length_differs(tolerance_frac):
            found.append(
                {
                    "video_id": row.video_id,
                    "stage": "length",
                    "reason": f"decoded {row.decoded_s:.1f} s, annotated {row.annotated_s:.1f} s: "
                    "left out of training",
                }
            )
    return found


def with_features(dataset: Dataset, subsets: Iterable[str], ledger: Ledger) -> tuple[str, ...]:
    """Ids of the videos of some subsets whose features are there, in file order."""
    wanted, done = set(subsets), ledger.done()
    return tuple(v.video_id for v in dataset.videos if v.subset in wanted and v.video_id in done)
