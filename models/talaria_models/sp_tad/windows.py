"""Sliding windows over the frames of a video, and the way of segments into a window and back.

Wu et al. 2021, section 4.1; offsets as AFSD cuts them (Lin et al. 2021, arXiv 2103.13137, section 4.1).

Letters: P segments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """Frames [start_idx, start_idx + num_frames) of a video; the rest of a window is padding.

    Attributes:
        start_idx: first frame.
        num_frames: frames that belong to the video, at least 1.
    """

    start_idx: int
    num_frames: int


def sliding_windows(num_frames: int, size: int, stride: int) -> list[Window]:
    """Windows that cover a video from its first frame to its last.

    Args:
        num_frames: frames of the video at the network's rate, at least 1.
        size: frames of a window.
        stride: frames between neighbours; the last window ends with the video and may be nearer.

    Returns:
        At least one; of a video no longer than `size` the only one, which holds it all.

    Raises:
        ValueError: no frame.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames: found {num_frames}, expected at least 1")
    if num_frames <= size:
        return [Window(0, num_frames)]
    last = num_frames - size
    return [Window(start, size) for start in (*range(0, last, stride), last)]


def to_video(
    segments_P2: NDArray[np.floating], window: Window, size: int, num_frames: int
) -> NDArray[np.float64]:
    """Segments of a window as fractions of its video, cut to the part that belongs to the video.

    Args:
        segments_P2: (P, 2) start <= end as fractions of the window's `size` frames; they may leave it.
        window: which.
        size: frames of a window, padding included.
        num_frames: frames of the video.

    Returns:
        (P, 2) in [0, 1]; one that lies in the padding or before the window has no length.
    """
    inside_P2 = np.clip(segments_P2.astype(np.float64) * size, 0.0, window.num_frames)
    moved_P2: NDArray[np.float64] = (inside_P2 + window.start_idx) / num_frames
    return moved_P2
