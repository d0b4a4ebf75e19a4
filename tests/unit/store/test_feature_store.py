"""Feature shards: plain Parquet, the same bytes every time, damage noticed, contracts compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from talaria.errors import DataError
from talaria.store.feature_store import FeatureContract, FeatureStore, ShardFacts

CONTRACT = FeatureContract(
    backbone={"name": "slowfast", "width": 8, "blocks": [1, 1, 1, 1]},
    weights="0123456789abcdef",
    fps=10.0,
    num_frames=16,
    stride_frames=4,
    height=48,
    width=64,
    first_frame_idx=-6,
    resize="bilinear",
    dtype="float16",
    layer="pooled",
    feature_dim=5,
    classes=("jump", "run"),
)


def numbers(num_snippets: int, num_channels: int, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.standard_normal((num_snippets, num_channels)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_shard_is_plain_parquet(tmp_path: Path, dtype: str) -> None:
    features_TC, logits_TK = numbers(7, 5, dtype), numbers(7, 3, dtype)
    store = FeatureStore(tmp_path)
    store.write("v_1.a", features_TC, logits_TK, decoded_s=2.75)
    table = pq.read_table(tmp_path / "videos" / "v_1.a.parquet")
    assert table["snippet_idx"].to_pylist() == list(range(7))
    for name, expected in (("feature", features_TC), ("logits", logits_TK)):
        found = table[name].combine_chunks().to_numpy_ndarray()
        assert found.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(found, expected)
    read = store.read("v_1.a")
    np.testing.assert_array_equal(read.features_TC, features_TC.astype(np.float32))
    np.testing.assert_array_equal(read.logits_TK, logits_TK.astype(np.float32))
    assert read.features_TC.dtype == np.float32
    assert read.decoded_s == 2.75


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        transposed = np.ascontiguousarray(numbers(300, 64, "float16").T).T
        FeatureStore(tmp_path / folder).write("v", transposed, numbers(300, 3, "float16"), 2.5)
    a, b = ((tmp_path / folder / "videos" / "v.parquet").read_bytes() for folder in ("a", "b"))
    assert a == b


def test_every_flipped_byte_of_the_numbers_is_noticed(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write("v", numbers(40, 5, "float32"), numbers(40, 3, "float32"), 2.5)
    path = store.path("v")
    whole = path.read_bytes()
    intact = store.read("v")
    for position in range(4, len(whole) - 8, 97):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            found = store.read("v")
        except DataError:
            continue
        np.testing.assert_array_equal(found.features_TC, intact.features_TC)
        np.testing.assert_array_equal(found.logits_TK, intact.logits_TK)


def test_missing_cut_and_foreign_shards_are_errors(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write("v", numbers(4, 5, "float32"), numbers(4, 3, "float32"), 2.5)
    whole = store.path("v").read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"PAR1 no PAR1", whole[:-1]):
        store.path("v").write_bytes(content)
        with pytest.raises(DataError, match=r"v\.parquet: no readable features of video v "):
            store.read("v")
    foreign = {"no metadata": pa.table({"feature": [1.0]}), "no columns": pa.table({"x": [1]})}
    for table in foreign.values():
        for metadata in (None, {"talaria": '{"decoded_s": 1}'}, {"talaria": "{}"}, {"talaria": "{"}):
            pq.write_table(table.replace_schema_metadata(metadata), store.path("v"))
            with pytest.raises(DataError, match="no readable features of video v"):
                store.read("v")
    with pytest.raises(DataError, match="no readable features of video absent"):
        store.read("absent")


def test_a_contract_is_found_again(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write_contract(CONTRACT)
    assert store.contract == CONTRACT
    assert store.contract.fingerprint == CONTRACT.fingerprint
    assert store.contract.stride_s == 0.4
    store.contract.require(CONTRACT, "bmn")


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"classes": [], "unknown": 1}'])
def test_a_folder_without_a_contract_is_an_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "contract.json").write_text(content)
    with pytest.raises(DataError, match=r"contract\.json: is no feature contract"):
        _ = FeatureStore(tmp_path).contract


def test_features_of_another_contract_are_refused_field_by_field() -> None:
    other = replace(CONTRACT, fps=15.0, backbone={**CONTRACT.backbone, "width": 16}, classes=("jump",))
    with pytest.raises(DataError) as caught:
        other.require(CONTRACT, "detectors/bmn")
    assert caught.value.problems == (
        "detectors/bmn: features do not fit its contract: backbone.width was 8, is now 16",
        "detectors/bmn: features do not fit its contract: classes was ['jump', 'run'], is now ['jump']",
        "detectors/bmn: features do not fit its contract: fps was 10.0, is now 15.0",
    )
    assert other.fingerprint != CONTRACT.fingerprint


def test_a_long_shard_has_the_same_bytes_in_whatever_pieces_it_came(tmp_path: Path) -> None:
    features_TC, logits_TK = numbers(2500, 5, "float16"), numbers(2500, 3, "float16")
    FeatureStore(tmp_path / "whole").write("v", features_TC, logits_TK, 2.5)
    store = FeatureStore(tmp_path / "pieces")
    with store.writer("v") as shard:
        for first in range(0, 2500, 77):
            shard.append(features_TC[first : first + 77], logits_TK[first : first + 77])
        assert shard.close(2.5, "") == 2500
    assert store.path("v").read_bytes() == FeatureStore(tmp_path / "whole").path("v").read_bytes()
    np.testing.assert_array_equal(store.read("v").features_TC, features_TC.astype(np.float32))


def test_a_shard_says_what_its_ledger_row_needs_and_half_a_one_nothing(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    with store.writer("v") as shard:
        shard.append(numbers(9, 5, "float32"), numbers(9, 3, "float32"))
        shard.close(4.5, "2 damaged packets")
    assert store.facts("v") == ShardFacts(9, 4.5, "2 damaged packets")
    assert store.facts("absent") is None
    store.path("v").write_bytes(store.path("v").read_bytes()[:-20])
    assert store.facts("v") is None


def test_a_shard_that_fails_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)

    def broken_off() -> None:
        with store.writer("v") as shard:
            shard.append(numbers(2000, 5, "float32"), numbers(2000, 3, "float32"))
            raise DataError("the video breaks off")

    with pytest.raises(DataError):
        broken_off()
    assert list((tmp_path / "videos").iterdir()) == []
