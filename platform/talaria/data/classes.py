"""Class names: the lists of the public datasets that files name by number, and lists from disk."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from talaria.data.annotation_file import decode_text, read_content
from talaria.data.layouts.layout import raise_problems
from talaria.errors import DataError

_HEADERS = {"action", "label", "class", "name", "taxonomy"}

MULTITHUMOS_CLASSES = (
    "BaseballPitch",
    "BasketballDunk",
    "Billiards",
    "CleanAndJerk",
    "CliffDiving",
    "CricketBowling",
    "CricketShot",
    "Diving",
    "FrisbeeCatch",
    "GolfSwing",
    "HammerThrow",
    "HighJump",
    "JavelinThrow",
    "LongJump",
    "PoleVault",
    "Shotput",
    "SoccerPenalty",
    "TennisSwing",
    "ThrowDiscus",
    "VolleyballSpiking",
    "Walk",
    "Sit",
    "StandUp",
    "Stand",
    "Run",
    "Jump",
    "Fall",
    "PickUp",
    "Hug",
    "PatPerson",
    "HighFive",
    "FistPump",
    "ClapHands",
    "OneRaisedArmCelebrate",
    "TwoRaisedArmCelebrate",
    "Throw",
    "Drop",
    "OneHandedCatch",
    "TwoHandedCatch",
    "BodyRoll",
    "BodyTurn",
    "BodyBend",
    "BodyContract",
    "Squat",
    "BasketballDribble",
    "BasketballPass",
    "BasketballBlock",
    "BasketballShot",
    "BasketballGuard",
    "VolleyballSet",
    "VolleyballBump",
    "VolleyballBlock",
    "VolleyballServe",
    "WeightliftingClean",
    "WeightliftingJerk",
    "HammerThrowWindUp",
    "HammerThrowSpin",
    "HammerThrowRelease",
    "PoleVaultPlantPole",
    "ShotPutBend",
    "DiscusWindUp",
    "DiscusRelease",
    "TalkToCamera",
    "CloseUpTalkToCamera",
    "NoHuman",
)
"""The 65 classes of MultiTHUMOS in the order of its class_list.txt; files number them from 1.

The first 20 are THUMOS14's. Source: Yeung et al., Every Moment Counts, IJCV 2017 (arXiv 1507.05738).
"""


def is_thumos(video_id: str) -> bool:
    """Whether a name is that of a THUMOS14 video."""
    return video_id.startswith(("video_test_", "video_validation_"))


def read_classes(path: str | Path) -> tuple[str, ...]:
    """The class names of a list in its order, as in action_name.csv, category_idx.txt or detclasslist.txt.

    A class a line, with or without its number before it; a first line such as `action` is a header.

    Raises:
        DataError: if the file cannot be read, is empty, or names a class twice.
    """
    path = Path(path)
    lines = [line.strip() for line in decode_text(path, read_content(path)).splitlines()]
    names = [line for line in lines if line]
    if names and names[0].lower() in _HEADERS:
        names = names[1:]
    if not names:
        raise DataError(f"{path}: is empty; expected a list of classes, one a line")
    numbered = [re.fullmatch(r"\d+[ \t,]+(.+)", name) for name in names]
    if all(numbered):
        names = [match[1] for match in numbered if match is not None]
    twice = [name for name, count in Counter(names).items() if count > 1]
    raise_problems(path, [f"class {name!r} is there more than once; expected once" for name in twice])
    return tuple(names)
