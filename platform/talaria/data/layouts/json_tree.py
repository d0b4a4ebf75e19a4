"""JSON layouts: ActivityNet and its kin, a bare database, BMN's, and MultiTHUMOS of the super-events code.

Sources, all on github.com: activitynet/ActivityNet; hangzhaomit/HACS-dataset; Richard-61/FineAction;
JJBOY/BMN-Boundary-Matching-Network (anet_anno_action.json); piergiaj/super-events-cvpr18 (multithumos.json);
open-mmlab/mmaction2 (a database without the key).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from talaria.data.annotation_file import Repeated, parse_json
from talaria.data.classes import MULTITHUMOS_CLASSES, is_thumos
from talaria.data.layouts.layout import UNSPECIFIED, Layout, raise_problems
from talaria.data.layouts.tables import subsets_beside
from talaria.data.oddities import Oddity
from talaria.errors import DataError


def read_json_layout(path: Path, text: str) -> Layout:
    """The tree of a JSON file in any of the layouts above.

    Raises:
        DataError: if the text is not JSON, holds no videos, or is in none of the layouts.
    """
    tree = parse_json(path, text)
    if isinstance(tree, Repeated) and "database" in tree.repeated:
        raise DataError(f"{path}: database is there more than once; expected once")
    database = _database(tree)
    if database is None:
        raise DataError(
            f"{path}: has no object named database, nor is it one of videos; expected annotations in the "
            "layout of ActivityNet, BMN or MultiTHUMOS"
        )
    if not database:
        raise DataError(f"{path}: its database is empty; expected at least one video")
    entries = {key: entry for key, entry in database.items() if isinstance(entry, dict)}
    if any("actions" in entry for entry in entries.values()):
        return _multithumos(path, database, entries)
    layout = Layout(database)
    if any("duration_second" in entry for entry in entries.values()):
        _name_bmn_fields(path, layout, entries)
    _name_files(entries)
    _lift_labels(layout, entries)
    return layout


def _database(tree: Any) -> dict[str, Any] | None:
    """The object that holds the videos, or None if there is none."""
    if not isinstance(tree, dict):
        return None
    if "database" in tree:
        database = tree["database"]
        return database if isinstance(database, dict) else None
    fields = {"annotations", "actions", "subset", "labels"}
    bare = bool(tree) and all(isinstance(entry, dict) and fields & entry.keys() for entry in tree.values())
    return tree if bare else None


def _name_files(entries: Mapping[str, dict[str, Any]]) -> None:
    """FineAction calls a video's file `filename`; a folder before the name is the dataset's own."""
    for entry in entries.values():
        if "file" not in entry and isinstance(entry.get("filename"), str):
            entry["file"] = PurePosixPath(entry["filename"]).name


def _name_bmn_fields(path: Path, layout: Layout, entries: Mapping[str, dict[str, Any]]) -> None:
    """BMN's names for the fields; its subsets are in video_info_new.csv beside the file."""
    subsets = subsets_beside(path)
    for video_id, entry in entries.items():
        if "duration_second" in entry:
            entry["duration"] = entry["duration_second"]
        if "subset" not in entry:
            entry["subset"] = subsets.get(video_id, UNSPECIFIED)
            if video_id not in subsets:
                text = "absent, here and in video_info_new.csv beside the file"
                layout.oddities.append(Oddity("no_subset", video_id, "subset", text))


def _lift_labels(layout: Layout, entries: Mapping[str, dict[str, Any]]) -> None:
    """In a file in which no annotation has a segment, labels are those of whole videos."""
    listed = {key: entry.get("annotations") for key, entry in entries.items()}
    items = [item for each in listed.values() if isinstance(each, list) for item in each]
    if not items or not all(isinstance(item, dict) and "segment" not in item for item in items):
        return
    for video_id, each in listed.items():
        if isinstance(each, list) and each:
            entry = entries[video_id]
            entry["labels"] = [item.get("label") for item in each]
            entry["annotations"] = []


def _multithumos(path: Path, database: dict[str, Any], entries: Mapping[str, dict[str, Any]]) -> Layout:
    """Lists of [class number, start, end] as annotations."""
    layout, problems = Layout(database, list_name="actions"), list[str]()
    for video_id, entry in entries.items():
        actions = entry.get("actions")
        entry["annotations"] = actions
        if not isinstance(actions, list):
            continue
        named = is_thumos(video_id)
        if not named and actions:
            layout.oddities.append(
                Oddity("unnamed_class", video_id, "actions", "no THUMOS14 video, so no name is known")
            )
        entry["annotations"] = [
            _action(f"video {video_id!r}: actions[{index}]", action, named, problems)
            for index, action in enumerate(actions)
        ]
    raise_problems(path, problems)
    return layout


def _action(where: str, action: Any, named: bool, problems: list[str]) -> dict[str, Any]:
    """One [class number, start, end] as an annotation."""
    if not isinstance(action, list) or len(action) != 3:
        problems.append(f"{where}: found {action!r:.60}; expected [class number, start, end]")
        return {}
    number = action[0]
    highest = len(MULTITHUMOS_CLASSES)
    if type(number) is not int or number < 0 or (named and not 1 <= number <= highest):
        expected = f"a class number, 1 to {highest}" if named else "a class number"
        problems.append(f"{where}: found class {number!r:.60}; expected {expected}")
        return {}
    label = MULTITHUMOS_CLASSES[number - 1] if named else str(number)
    return {"segment": action[1:], "label": label}
