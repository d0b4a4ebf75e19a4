"""Whole videos as small frames on disk.

A video's frames are one file of bytes, mapped and not read whole; their shape and the video's length lie
beside it as JSON, written last.

Letters: F frames, H, W pixels; the last axis are colours, or motion to the right and down.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talaria.errors import DataError


class FrameStore:
    """The stored frames of many videos."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read until it is asked for.

        Args:
            folder: absolute.
        """
        self.folder = folder

    def read(self, video_id: str, stream: str) -> NDArray[np.uint8]:
        """(F, H, W, channels) uint8, mapped from disk.

        Raises:
            DataError: they are missing or damaged.
        """
        path = frames_path(self.folder, video_id, stream)
        try:
            return np.memmap(path, np.uint8, "r", shape=tuple(self._about(path)["shape"]))
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path}: frames of {video_id} cannot be read ({error}); delete {path}") from None

    def decoded_s(self, video_id: str, stream: str) -> float:
        """Length of the video in seconds, as its decoder found it.

        Raises:
            DataError: what tells it is missing or damaged.
        """
        path = frames_path(self.folder, video_id, stream)
        try:
            return float(self._about(path)["decoded_s"])
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path}: frames of {video_id} cannot be read ({error}); delete {path}") from None

    def _about(self, path: Path) -> dict[str, Any]:
        about: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
        return about


def frames_path(folder: Path, video_id: str, stream: str) -> Path:
    """Where the frames of one stream of a video lie."""
    return folder / stream / f"{video_id}.frames"
