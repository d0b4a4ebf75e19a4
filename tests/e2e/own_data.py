"""Videos and annotations that no one here rendered for a demo: other classes, containers, sizes and rates."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

LABELS = ("fall", "rise", "slide & turn")
_FORMATS = (
    ("mkv", "mpeg4", 120, 200, Fraction(12)),
    ("mp4", "libx264", 98, 98, Fraction(30)),
    ("avi", "mpeg4", 176, 144, Fraction(24000, 1001)),
)
_SUBSETS = {"training": 6, "validation": 3, "testing": 3}
_DURATION_S, _BEGIN_S, _END_S = 6.0, 1.5, 4.5


def write_own_data(folder: Path) -> tuple[Path, Path]:
    """A folder of videos and its annotation file; durations are text, as HACS writes them."""
    videos = folder / "videos"
    videos.mkdir(parents=True)
    database = {}
    for subset, count in _SUBSETS.items():
        for index in range(count):
            name, label = f"{subset[:2]}-{index}", LABELS[index % len(LABELS)]
            _write_video(videos, name, index, label)
            note = {"segment": [_BEGIN_S, _END_S + 0.2 * index], "label": label}
            database[name] = {"duration": f"{_DURATION_S:.2f}", "subset": subset, "annotations": [note]}
    annotations = folder / "own.json"
    annotations.write_text(json.dumps({"database": database}))
    return videos, annotations


def _write_video(folder: Path, name: str, index: int, label: str) -> None:
    extension, codec, width, height, rate = _FORMATS[index % len(_FORMATS)]
    with av.open(str(folder / f"{name}.{extension}"), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(_DURATION_S * rate)):
            picture = _picture(width, height, float(number / rate), label)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _picture(width: int, height: int, time_s: float, label: str) -> np.ndarray:
    """A bright square, which moves only while its action lasts."""
    progress = min(max((time_s - _BEGIN_S) / (_END_S - _BEGIN_S), 0.0), 1.0)
    x, y = {"fall": (0.5, progress), "rise": (0.5, 1 - progress)}.get(label, (progress, 0.5))
    picture = np.full((height, width, 3), 40, np.uint8)
    left, top = int(x * (width - 24)), int(y * (height - 24))
    picture[top : top + 24, left : left + 24] = (230, 200, 60)
    return picture
