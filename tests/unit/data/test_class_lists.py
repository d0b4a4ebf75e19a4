"""Lists of classes from disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from talaria.data.classes import read_classes
from talaria.errors import DataError


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("action\nSwim\nArchery\n", ("Swim", "Archery")),
        ("Swim\nHand washing\n\n", ("Swim", "Hand washing")),
        ("7 BaseballPitch\n9 BasketballDunk\n", ("BaseballPitch", "BasketballDunk")),
        ("1\tSwim\n2\tHand washing\n", ("Swim", "Hand washing")),
        ("50 metres\nSwim\n", ("50 metres", "Swim")),
        ("\ufeffaction\r\nSwim\r\n", ("Swim",)),
    ],
)
def test_a_list_is_read_in_its_order(tmp_path: Path, text: str, classes: tuple[str, ...]) -> None:
    (tmp_path / "classes.txt").write_text(text, encoding="utf-8")
    assert read_classes(tmp_path / "classes.txt") == classes


@pytest.mark.parametrize(
    ("text", "said"), [("", "is empty"), ("action\n", "is empty"), ("Swim\nSwim\n", "class 'Swim' is there")]
)
def test_a_broken_list_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_classes(path)
    assert caught.value.problems[0].startswith(f"{path}: {said}")
