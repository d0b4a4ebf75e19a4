"""Files and folders that are either old or new, never half; records that tell what made them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from talaria.config.specs import ClipSpec
from talaria.errors import DataError, DriftError
from talaria.store.artifact import Artifact
from talaria.store.files import read_json, write_folder, write_json, written_aside

FIELDS = {"lr": 0.1, "clip": ClipSpec(10, 16, 4, 48, 64), "inputs": ("a", "b"), "nothing": {}}


class KilledError(Exception):
    """Stands for anything that ends a writer."""


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_writer_that_dies_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"old": 1})

    def dies() -> None:
        with written_aside(path) as aside:
            aside.write_text("half of it")
            assert read_json(path) == {"old": 1}, "readers see the old file while a new one is written"
            raise KilledError

    with pytest.raises(KilledError):
        dies()
    assert read_json(path) == {"old": 1}
    assert names(tmp_path) == ["deep/file.json"]


def test_what_cannot_be_json_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {1, 2})
    assert read_json(tmp_path / "a.json") == [1]
    assert names(tmp_path) == ["a.json"]


def test_a_written_file_is_readable_by_others(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", "\u2028 Türe 🎬")
    assert read_json(tmp_path / "a.json") == "\u2028 Türe 🎬"
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o644


def test_the_longest_name_that_a_disk_takes_can_be_written(tmp_path: Path) -> None:
    name = "🎬" * 62 + ".json"
    write_json(tmp_path / name, 1)
    assert names(tmp_path) == [name]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    write_folder(target, lambda folder: write_json(folder / "old.json", 1))

    def dies(folder: Path) -> None:
        write_json(folder / "new.json", 2)
        raise KilledError

    with pytest.raises(KilledError):
        write_folder(target, dies)
    assert names(tmp_path) == ["folder/old.json"]
    write_folder(target, lambda folder: write_json(folder / "new.json", 2))
    assert names(tmp_path) == ["folder/new.json"]


def test_a_folder_is_finished_by_its_record_alone(tmp_path: Path) -> None:
    work = Artifact(tmp_path / "train" / "bmn", "train@1", FIELDS)
    assert not work.finished()
    work.begin()
    (work.folder / "model").write_text("weights")
    assert not Artifact(work.folder, "train@1", FIELDS).finished()
    work.commit(videos=3, note=("x",))
    again = Artifact(work.folder, "train@1", FIELDS)
    assert again.finished()
    again.begin()
    assert again.finished(), "beginning finished work again changes nothing"
    assert names(work.folder) == ["model", "record.json"]


def test_a_record_tells_what_made_it(tmp_path: Path) -> None:
    work = Artifact(tmp_path / "a", "train@1", FIELDS)
    work.begin()
    work.commit(videos=3)
    record = work.record()
    assert record["info"] == {"videos": 3}
    assert record["fingerprint"] == work.fingerprint
    assert record["fields"]["clip"]["stride_frames"] == 4
    assert record["seconds"] >= 0
    assert {"talaria", "commit", "ray", "torch", "pyarrow", "numpy", "av"} <= record["versions"].keys()


def test_finished_work_of_other_settings_is_an_error_that_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "demo" / "train" / "bmn"
    made = Artifact(folder, "train@1", FIELDS)
    made.begin()
    made.commit()
    asked = Artifact(folder, "train@2", {**FIELDS, "lr": 0.2, "clip": ClipSpec(10, 16, 8, 48, 64)})
    for act in (asked.finished, asked.begin):
        with pytest.raises(DriftError) as caught:
            act()
        assert caught.value.problems == (
            "train/bmn was made with other settings: clip.stride_frames was 4, is now 8",
            "train/bmn was made with other settings: kind was 'train@1', is now 'train@2'",
            "train/bmn was made with other settings: lr was 0.1, is now 0.2",
            f"choose another run.name, or delete {folder}",
        )
    assert made.finished(), "the finished work is left alone"


def test_many_changes_are_cut_short(tmp_path: Path) -> None:
    made = Artifact(tmp_path / "a", "x@1", {f"f{i:02d}": 0 for i in range(30)})
    made.begin()
    made.commit()
    with pytest.raises(DriftError) as caught:
        Artifact(tmp_path / "a", "x@1", {f"f{i:02d}": 1 for i in range(30)}).finished()
    assert len(caught.value.problems) == 14
    assert caught.value.problems[12] == "and 18 settings more"


def test_unfinished_work_is_kept_for_the_same_settings_only(tmp_path: Path) -> None:
    work = Artifact(tmp_path / "a", "x@1", {"lr": 1})
    work.begin()
    (work.folder / "part").write_text("1")
    Artifact(tmp_path / "a", "x@1", {"lr": 1}).begin()
    assert (work.folder / "part").is_file()
    Artifact(tmp_path / "a", "x@1", {"lr": 1}).begin(keep_partial=False)
    assert not (work.folder / "part").exists()
    (work.folder / "part").write_text("1")
    other = Artifact(tmp_path / "a", "x@1", {"lr": 2})
    assert not other.finished()
    other.begin()
    assert not (work.folder / "part").exists()


def test_leftovers_of_unknown_origin_are_removed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "part").write_text("of what?")
    Artifact(tmp_path / "a", "x@1", {}).begin()
    assert not (tmp_path / "a" / "part").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"fields"'])
def test_a_damaged_record_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(DataError, match=f"is no record .*; delete {tmp_path} to do the work again"):
        Artifact(tmp_path, "x@1", {}).finished()


def test_fields_survive_json(tmp_path: Path) -> None:
    work = Artifact(tmp_path / "a", "x@1", {"tiny": 1e-320, "third": 1 / 3, "text": "ü\u2028", "none": None})
    assert json.loads(json.dumps(work.fields)) == work.fields
    work.begin()
    work.commit()
    assert work.finished()
