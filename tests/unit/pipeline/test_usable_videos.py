"""Which videos a stage takes, given what decoding found."""

from __future__ import annotations

from pathlib import Path

from talaria.pipeline.videos import labelled_videos, unlike_annotated, with_features
from talaria.records import Annotation, Dataset, Video
from talaria.store.ledger import Ledger, LedgerRow


def video(name: str, subset: str = "training") -> Video:
    notes = (Annotation(1, 5, "x"), Annotation(7, 11, "x"), Annotation(15, 18, "x"))
    return Video(name, f"/{name}.mp4", subset, 20.0, notes)


def row(name: str, decoded_s: float | None, status: str = "done") -> LedgerRow:
    return LedgerRow(name, status, status, "", 1, 20.0, decoded_s, 9)  # type: ignore[arg-type]


def ledger(folder: Path, *rows: LedgerRow) -> Ledger:
    filled = Ledger(folder)
    for one in rows:
        filled.add(one)
    return filled


def test_segments_end_where_the_decoded_video_ends(tmp_path: Path) -> None:
    found = labelled_videos([video("a")], ledger(tmp_path, row("a", 10.0)), tolerance_frac=0.6)
    assert [(note.start_s, note.end_s) for note in found[0].annotations] == [(1, 5), (7, 10.0)]
    assert found[0].duration_s == 10.0


def test_only_decoded_videos_of_the_annotated_length_are_trained_on(tmp_path: Path) -> None:
    rows = ledger(tmp_path, row("good", 19.5), row("short", 12.0), row("broken", None, "failed"))
    names = ("good", "short", "broken", "unknown")
    assert [v.video_id for v in labelled_videos(map(video, names), rows, 0.05)] == ["good"]
    (left_out,) = unlike_annotated(map(video, names), rows, 0.05)
    assert left_out["video_id"] == "short"
    assert left_out["reason"].startswith("decoded 12.0 s, annotated 20.0 s")


def test_a_second_is_always_within_tolerance(tmp_path: Path) -> None:
    rows = ledger(tmp_path, row("a", 19.0))
    assert len(labelled_videos([video("a")], rows, tolerance_frac=0.0)) == 1
    assert unlike_annotated([video("a")], rows, tolerance_frac=0.0) == []


def test_members_predict_short_videos_too_but_no_failed_ones(tmp_path: Path) -> None:
    dataset = Dataset(
        ("x",), (video("t"), video("b", "testing"), video("a", "testing"), video("v", "validation"))
    )
    rows = ledger(tmp_path, row("t", 20.0), row("a", 5.0), row("b", 20.0), row("v", None, "failed"))
    assert with_features(dataset, ("testing", "validation"), rows) == ("b", "a")
