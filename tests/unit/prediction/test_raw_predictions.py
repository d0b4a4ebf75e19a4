"""Raw predictions: what may be one, and what comes back from disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from talaria.errors import DataError
from talaria.prediction.raw import RawPrediction, inside
from talaria.prediction.stores import RawMeta, RawStore, write_raw
from unit.prediction.beliefs import CLASSES, believed, made_videos

VIDEOS = made_videos(40)
PREDICTIONS = [believed(video, size=12, noise=0.5, member="m") for video in VIDEOS]
META = RawMeta(
    member="bmn-a",
    dataset="d1",
    split="validation",
    video_ids=tuple(video.video_id for video in VIDEOS),
    classes=CLASSES,
    time_base="decoded",
)


def stored(folder: Path) -> RawStore:
    write_raw(folder / "part-0.parquet", PREDICTIONS[:25], META)
    write_raw(folder / "part-1.parquet", PREDICTIONS[25:], META)
    return RawStore(folder)


def test_what_is_read_is_what_was_written_up_to_half_precision(tmp_path: Path) -> None:
    store = stored(tmp_path)
    assert store.meta == META
    assert store.video_ids == tuple(sorted(META.video_ids))
    for made in PREDICTIONS:
        read = store.read(made.video_id)
        assert (read.video_id, read.duration_s) == (made.video_id, made.duration_s)
        np.testing.assert_array_equal(read.start_T, made.start_T)
        np.testing.assert_array_equal(read.end_T, made.end_T)
        np.testing.assert_array_equal(read.class_logits_RK, made.class_logits_RK)
        np.testing.assert_array_equal(read.bm_map_MDT, made.bm_map_MDT.astype(np.float16).astype(np.float32))


def test_a_store_streams_every_video_once(tmp_path: Path) -> None:
    assert sorted(one.video_id for one in stored(tmp_path)) == sorted(META.video_ids)


def test_clip_logits_keep_their_rows_and_their_background_column(tmp_path: Path) -> None:
    made = believed(VIDEOS[0], size=6, clip_rows=9)
    write_raw(tmp_path / "a.parquet", [made], replace(META, video_ids=(made.video_id,)))
    assert RawStore(tmp_path).read(made.video_id).class_logits_RK.shape == (9, len(CLASSES) + 1)


def test_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    write_raw(tmp_path / "a.parquet", PREDICTIONS, META)
    write_raw(tmp_path / "b.parquet", reversed(PREDICTIONS), META)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_plain_pyarrow_reads_a_map_in_the_documented_order(tmp_path: Path) -> None:
    write_raw(tmp_path / "a.parquet", PREDICTIONS, META)
    row = pq.read_table(tmp_path / "a.parquet").to_pylist()[0]
    made = next(one for one in PREDICTIONS if one.video_id == row["video_id"])
    size = row["num_snippets"]
    flat = [made.bm_map_MDT[1, d, t] for d in range(size) for t in range(size - d)]
    np.testing.assert_allclose(row["map_classification"], flat, atol=1e-3)


def test_a_truncated_file_names_the_member_and_the_file(tmp_path: Path) -> None:
    stored(tmp_path)
    victim = tmp_path / "part-1.parquet"
    victim.write_bytes(victim.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"member .*part-1\.parquet is truncated"):
        _ = RawStore(tmp_path).meta


def test_a_missing_shard_is_noticed(tmp_path: Path) -> None:
    stored(tmp_path)
    (tmp_path / "part-1.parquet").unlink()
    with pytest.raises(
        DataError, match="member bmn-a: video_ids: predictions of 15 of 40 videos are missing"
    ):
        _ = RawStore(tmp_path).video_ids


def test_an_empty_folder_and_an_unknown_video_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no raw predictions"):
        _ = RawStore(tmp_path).meta
    with pytest.raises(DataError, match="member bmn-a: no prediction of video nobody"):
        stored(tmp_path).read("nobody")


@pytest.mark.parametrize("field", ["start", "map_regression", "class_logits"])
def test_a_cut_list_names_member_video_and_field(tmp_path: Path, field: str) -> None:
    damage(tmp_path, field, lambda values: values[:-1] if field != "class_logits" else [])
    with pytest.raises(DataError, match=f"member bmn-a: video {VIDEOS[0].video_id}: {field}: found"):
        RawStore(tmp_path).read(VIDEOS[0].video_id)


def test_values_that_are_no_probabilities_name_the_field(tmp_path: Path) -> None:
    damage(tmp_path, "map_classification", lambda values: [float("nan"), *values[1:]])
    with pytest.raises(DataError, match=f"member bmn-a: video {VIDEOS[0].video_id}: bm_map_MDT"):
        RawStore(tmp_path).read(VIDEOS[0].video_id)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    stored(tmp_path)
    path = tmp_path / "part-0.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["end"]), path)
    with pytest.raises(DataError, match="member bmn-a: the predictions lack the field end"):
        RawStore(tmp_path).read(PREDICTIONS[0].video_id)


def test_shards_of_two_sets_in_one_folder_are_refused(tmp_path: Path) -> None:
    write_raw(tmp_path / "a.parquet", PREDICTIONS, META)
    write_raw(tmp_path / "b.parquet", PREDICTIONS, replace(META, dataset="d2"))
    with pytest.raises(DataError, match=r"b\.parquet has another dataset than a\.parquet"):
        _ = RawStore(tmp_path).meta


@pytest.mark.parametrize(
    ("predictions", "meta", "message"),
    [
        ([PREDICTIONS[0], PREDICTIONS[0]], META, "was predicted twice"),
        ([PREDICTIONS[0]], replace(META, video_ids=("other",)), "not among the video_ids"),
        ([PREDICTIONS[0]], replace(META, classes=("dive",)), "have 3 columns, expected 1 classes"),
    ],
)
def test_a_shard_that_contradicts_its_meta_is_not_written(
    tmp_path: Path, predictions: list[RawPrediction], meta: RawMeta, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        write_raw(tmp_path / "a.parquet", predictions, meta)
    assert list(tmp_path.iterdir()) == []


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    good = PREDICTIONS[0]
    outside = good.bm_map_MDT.copy()
    outside[0, 3, 11] = 0.5
    for field, value in {
        "start_T": np.full(12, 1.5),
        "end_T": np.zeros(11),
        "bm_map_MDT": outside,
        "class_logits_RK": np.zeros((0, 3)),
        "duration_s": 0.0,
    }.items():
        with pytest.raises(ValueError, match=f"^{field}"):
            replace(good, **{field: value})


def test_inside_follows_the_definition() -> None:
    expected = [[t + d + 1 <= 5 for t in range(5)] for d in range(5)]
    np.testing.assert_array_equal(inside(5), expected)


def damage(folder: Path, field: str, change: object) -> None:
    """Rewrite one field of the first video; everything else stays."""
    assert callable(change)
    path = folder / "a.parquet"
    write_raw(path, PREDICTIONS, META)
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0][field] = change(rows[0][field])
    assert json.loads(table.schema.metadata[b"talaria"])["member"] == "bmn-a"
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)
