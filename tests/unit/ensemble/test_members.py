"""Members that do not belong together are named with their run and field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from talaria.ensemble.members import Member, checked_members, member_stores, pick_members
from talaria.errors import ConfigError, DataError
from talaria.prediction.stores import RawMeta, write_raw
from talaria.tracking.mlflow_tracker import PREDICTIONS_TAG, Tracker
from talaria.tracking.reading import FoundRun
from unit.prediction.beliefs import CLASSES, believed, made_videos

VIDEOS = made_videos(3)
META = RawMeta("a", "d1", "validation", tuple(video.video_id for video in VIDEOS), CLASSES, "decoded")


class FoundRuns:
    """A tracker whose answers are known."""

    experiment = "tal"

    def __init__(self, found: list[FoundRun], tags: dict[str, list[str]]) -> None:
        self._found, self._tags = found, tags

    def find_members(self, filter_string: str) -> list[FoundRun]:
        del filter_string
        return self._found

    def member_tags(self) -> dict[str, list[str]]:
        return self._tags


def picked(found: list[FoundRun], tags: dict[str, list[str]] | None = None) -> tuple[Member, ...]:
    return pick_members(cast(Tracker, FoundRuns(found, tags or {})), "tags.team = 'blue'")


def ref(run_id: str, name: str, folder: str = "/p") -> FoundRun:
    return FoundRun(run_id, name, {PREDICTIONS_TAG: folder} if folder else {}, {}, {})


def member(tmp_path: Path, name: str, meta: RawMeta) -> Member:
    rows = [believed(video, size=4) for video in VIDEOS if video.video_id in meta.video_ids]
    write_raw(tmp_path / name / "a.parquet", rows, replace(meta, member=name))
    return Member(name, f"run-{name}", str(tmp_path / name))


def test_runs_become_members_by_name() -> None:
    assert picked([ref("2", "b"), ref("1", "a", "/q")]) == (Member("a", "1", "/q"), Member("b", "2", "/p"))


def test_a_filter_that_matches_none_says_which_tags_there_are() -> None:
    with pytest.raises(ConfigError) as error:
        picked([], {"team": ["red"], "talaria.member": ["no", "yes"]})
    assert "tags.team = 'blue'" in str(error.value)
    assert "team = 'red', talaria.member = 'no' or 'yes'" in str(error.value)
    with pytest.raises(ConfigError, match="no run there has raw predictions yet"):
        picked([])


def test_two_runs_of_one_name_and_runs_without_predictions_are_named() -> None:
    with pytest.raises(ConfigError) as error:
        checked_members([ref("1", "a"), ref("2", "a"), ref("3", "c", "")])
    assert "run 3 (c) has no tag talaria.predictions" in error.value.problems[0]
    assert "2 runs have the name 'a': 1, 2" in error.value.problems[1]


def test_members_of_one_split_are_accepted(tmp_path: Path) -> None:
    stores = member_stores([member(tmp_path, "a", META), member(tmp_path, "b", META)])
    assert list(stores) == ["a", "b"]
    assert stores["b"].read(VIDEOS[0].video_id).num_snippets == 4


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dataset", "d2", "dataset: found 'd2' instead of 'd1'"),
        ("split", "testing", "split: found 'testing' instead of 'validation'"),
        ("time_base", "annotated", "time_base: found 'annotated' instead of 'decoded'"),
        ("classes", ("dive", "fly", "run"), r"classes: found 1 others \['fly'\] and 1 missing \['jump'\]"),
        ("classes", ("jump", "dive", "run"), "classes: found the same entries in another order"),
        ("video_ids", META.video_ids[:2], r"video_ids: found 0 others \[\] and 1 missing \['videos-02'\]"),
    ],
)
def test_what_differs_is_named_with_its_run(tmp_path: Path, field: str, value: object, message: str) -> None:
    members = [member(tmp_path, "a", META), member(tmp_path, "b", replace(META, **{field: value}))]
    with pytest.raises(ConfigError, match=rf"run run-b \(b\): {message}, expected what run run-a \(a\) has"):
        member_stores(members)


def test_all_differences_of_all_members_are_said_at_once(tmp_path: Path) -> None:
    members = [
        member(tmp_path, "a", META),
        member(tmp_path, "b", replace(META, dataset="d2", split="testing")),
        member(tmp_path, "c", replace(META, time_base="annotated")),
    ]
    with pytest.raises(ConfigError) as error:
        member_stores(members)
    assert len(error.value.problems) == 3


def test_a_member_whose_predictions_are_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: holds no raw predictions"):
        member_stores([member(tmp_path, "a", META), Member("b", "run-b", str(tmp_path / "gone"))])
