"""The picture of a member: a panel for every video, the same bytes for the same beliefs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from talaria.report.member_picture import PicturedVideo, draw_member


def pictured(name: str, *, refined: bool = False, found: int = 10) -> PicturedVideo:
    begin_s = np.linspace(0, 40, found)
    found_s = np.stack([begin_s, begin_s + 12], axis=1)
    curve = np.abs(np.sin(np.linspace(0, 9, 64)))
    return PicturedVideo(
        video_id=name,
        duration_s=60.0,
        truths_s=np.array([[5.0, 15.0], [40.0, 52.0]]),
        found_s=found_s,
        found_scores=np.linspace(0.9, 0.1, found),
        offered_s=found_s + 3 if refined else np.zeros((0, 2)),
        curves={} if refined else {"startness": curve, "endness": 1 - curve},
    )


def height(path: Path) -> int:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.height


def test_more_videos_make_a_taller_picture_and_equal_ones_equal_bytes(tmp_path: Path) -> None:
    for name, count in (("one", 1), ("three", 3), ("again", 3)):
        draw_member(f"m on {count}", [pictured(f"v{i}") for i in range(count)], tmp_path / f"{name}.png")
    assert height(tmp_path / "three.png") > 2 * height(tmp_path / "one.png")
    assert (tmp_path / "three.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.png", "one.png", "three.png"]


def test_refiners_and_members_that_found_nothing_are_drawn(tmp_path: Path) -> None:
    videos = [pictured("refined", refined=True), pictured("nothing", found=0)]
    draw_member("m", videos, tmp_path / "m.png")
    assert height(tmp_path / "m.png") > 100
