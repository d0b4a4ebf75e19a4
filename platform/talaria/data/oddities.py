"""What is odd in an annotation file without being wrong: single facts, told as one sentence a kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

KINDS = {
    "zero_length": "segments of zero length, kept",
    "duplicate": "exact duplicates, kept",
    "past_end": "segments that end after their video by more than 0.01 s",
    "past_end_rounding": "segments that end after their video by at most 0.01 s",
    "before_start": "segments that start before 0 s",
    "outside": "segments that lie wholly outside their video",
    "numeric_text": "segments written as text, read as numbers",
    "labels_only": "videos labelled as a whole, without times",
    "no_annotations": "videos without the field annotations, read as videos without labels",
    "no_subset": "videos without a subset, put in the subset unspecified",
    "no_video": "videos named as missing, left out",
    "shared_file": "videos that share their file with another one",
    "unnamed_class": "videos whose classes have numbers and no names; the number is the label",
}
"""Every kind of oddity, as the subject of its sentence."""


@dataclass(frozen=True)
class Oddity:
    """One odd place of a file.

    Attributes:
        kind: a key of `KINDS`.
        video_id: whose entry it is in.
        place: field inside the entry, such as `annotations[3]`; empty for the entry as a whole.
        text: what was found there, and what became of it.
    """

    kind: str
    video_id: str
    place: str
    text: str


def counted(oddities: Sequence[Oddity]) -> dict[str, int]:
    """How many oddities of each kind there are, in the order of `KINDS`; without kinds that do not occur."""
    counts = Counter(oddity.kind for oddity in oddities)
    return {kind: counts[kind] for kind in KINDS if counts[kind]}


def sentences(source: str, oddities: Sequence[Oddity]) -> tuple[str, ...]:
    """One sentence for each kind that occurs: how many, and the first as an example."""
    first = {oddity.kind: oddity for oddity in reversed(oddities)}
    return tuple(
        f"{source}: {KINDS[kind]}: {count}{', such as' if count > 1 else ':'} {_example(first[kind])}"
        for kind, count in counted(oddities).items()
    )


def _example(oddity: Oddity) -> str:
    place = f"{oddity.place}: " if oddity.place else ""
    return f"video {oddity.video_id!r}: {place}{oddity.text}"
