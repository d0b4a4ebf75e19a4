"""The official file: round trips, equal bytes, and what bad files say."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from talaria.errors import DataError
from talaria.evaluation.formats import read_detections, write_detections
from talaria.records import Detection

RESULTS = {
    "b": [Detection(1.23456789, 2.0, "run", 0.123456789), Detection(0.0, 0.0, "jump", 2e-7)],
    "a": [],
}


def bad_file(folder: Path, entry: dict[str, Any]) -> Path:
    good = {"label": "run", "score": 0.5, "segment": [0.0, 1.0]}
    path = folder / "found.json"
    path.write_text(json.dumps({"results": {"video_7": [good, good | entry]}}))
    return path


@pytest.mark.parametrize("name", ["found.json", "found.json.gz"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    write_detections(tmp_path / name, RESULTS)
    assert read_detections(tmp_path / name, {"run", "jump"}) == {
        "a": (),
        "b": (Detection(1.2346, 2.0, "run", 0.123457), Detection(0.0, 0.0, "jump", 2e-7)),
    }
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_layout_is_the_official_one(tmp_path: Path) -> None:
    write_detections(tmp_path / "found.json", RESULTS)
    assert (tmp_path / "found.json").read_text() == (
        '{"version":"VERSION 1.3","results":{"a":[],"b":[{"label":"run","score":0.123457,'
        '"segment":[1.2346,2.0]},{"label":"jump","score":2e-07,"segment":[0.0,0.0]}]},'
        '"external_data":{"used":false}}\n'
    )


def test_bytes_do_not_depend_on_name_time_or_order_of_videos(tmp_path: Path) -> None:
    write_detections(tmp_path / "one.json.gz", RESULTS)
    write_detections(tmp_path / "two.json.gz", dict(reversed(RESULTS.items())))
    first, second = ((tmp_path / name).read_bytes() for name in ("one.json.gz", "two.json.gz"))
    assert first == second
    assert first[4:8] == bytes(4), "gzip time stamp"


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    write_detections(path, RESULTS)
    before = path.read_bytes()
    bad = [
        Detection(0.0, 1.0, "run", float("nan")),
        Detection(2.0, 1.0, "run", 0.5),
        Detection(-1.0, 1.0, "run", 0.5),
    ]
    with pytest.raises(DataError) as caught:
        write_detections(path, {"v": bad})
    assert len(caught.value.problems) == 3
    with pytest.raises(TypeError):
        write_detections(path, RESULTS, external_data={"used": object()})
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"score": float("nan")}, "score is nan, expected a finite number"),
        ({"score": float("inf")}, "score is inf"),
        ({"score": "0.5"}, 'score is "0.5"'),
        ({"score": True}, "score is true"),
        ({"score": None}, "score is missing"),
        ({"segment": [5.0, 4.0]}, "expected an end at or after the start"),
        ({"segment": [0.0, float("nan")]}, "expected finite seconds"),
        ({"segment": [0.0]}, "expected [start, end] in seconds"),
        ({"segment": ["a", 1]}, "expected [start, end] in seconds"),
        ({"segment": [10**400, 1]}, "expected [start, end] in seconds"),
        ({"label": "swim"}, "label 'swim' is not a class of the dataset"),
        ({"label": 3}, "label is 3, expected a class name"),
    ],
)
def test_a_bad_entry_is_named_with_file_video_and_field(
    tmp_path: Path, entry: dict[str, Any], message: str
) -> None:
    path = bad_file(tmp_path, entry)
    with pytest.raises(DataError) as caught:
        read_detections(path, {"run"})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: video 'video_7', entry 1: ")
    assert message in problem


def test_all_problems_come_at_once_up_to_twenty(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text(json.dumps({"results": {f"v{number}": [{"label": "run"}] for number in range(30)}}))
    with pytest.raises(DataError) as caught:
        read_detections(path)
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1] == f"{path}: 10 more problems"
    assert "score is missing" in caught.value.problems[0]
    assert "segment is missing" in caught.value.problems[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b'{"results": {"a": [', "perhaps truncated"),
        (gzip.compress(b'{"results": {}}', mtime=0)[:-9], "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"[1, 2]", "holds [1, 2], expected an object with `results`"),
        (b'{"version": 1}', "`results` is missing"),
        (b'{"results": {"a": 5}}', "video 'a': found 5, expected a list of detections"),
        (b'{"results": {"a": [5]}}', "video 'a', entry 0: found 5, expected an object"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "found.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_detections(path)
    assert caught.value.problems[0].startswith(f"{path}: ")
    assert message in caught.value.problems[0]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.json: cannot be read"):
        read_detections(tmp_path / "absent.json")


def test_what_the_official_code_defines_is_kept(tmp_path: Path) -> None:
    path = bad_file(tmp_path, {"segment": ["-1.5", 2]})
    assert read_detections(path)["video_7"][1] == Detection(-1.5, 2.0, "run", 0.5)
    with pytest.raises(DataError, match="expected a start at or after 0 s"):
        read_detections(path, allow_negative=False)


def test_proposals_take_the_given_label(tmp_path: Path) -> None:
    path = tmp_path / "proposals.json"
    path.write_text('{"results": {"a": [{"score": 1, "segment": [0, 1]}]}}')
    assert read_detections(path, label_if_absent="action") == {"a": (Detection(0.0, 1.0, "action", 1.0),)}
    with pytest.raises(DataError, match="label is missing"):
        read_detections(path)
