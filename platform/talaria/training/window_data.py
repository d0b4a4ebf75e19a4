"""Windows of frames with the actions in them, for detectors that learn end to end.

Letters: L frames of a window, H, W pixels, C colours, or motion along x and y.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from talaria.store.frame_store import FrameStore
from talaria.training.augment import mirrored
from talaria.training.datasets import Sample
from talaria.training.job import LabelledVideo, WindowSource
from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.sp_tad.targets import build_targets, rows_inside, training_windows
from talaria_models.sp_tad.windows import Window

Pixels = NDArray[np.uint8]


class WindowDataset:
    """The windows of the training videos that have an action; frames are mapped from disk."""

    def __init__(self, source: WindowSource, config: SPTADConfig) -> None:
        """List the windows.

        Args:
            source: videos and where their frames lie.
            config: of the network: size and strides of windows, streams, crop.
        """
        self._source, self._config = source, config
        self._store = FrameStore(Path(source.folder))
        self._index = {label: position for position, label in enumerate(source.classes)}
        truths = [_truths(video) for video in source.videos]
        self._windows = [
            (position, window)
            for position, (segments, num_frames) in enumerate(zip(truths, source.num_frames, strict=True))
            for window in training_windows(segments, num_frames, config)
        ]
        self._num_rows = max(
            (
                len(rows_inside(truths[position], window, source.num_frames[position]))
                for position, window in self._windows
            ),
            default=0,
        )

    def __len__(self) -> int:
        return len(self._windows)

    def sample(self, index: int, seed: int | None) -> Sample:
        """The streams (L, H, W, C) uint8 by name, `num_frames` (), and the targets of `build_targets`.

        `seed` decides crop and mirror; None takes the middle and mirrors nothing.
        """
        position, window = self._windows[index]
        video, config = self._source.videos[position], self._config
        streams: Sample = {
            stream: torch.from_numpy(self._cut(video.video_id, stream, window, seed))
            for stream in config.streams
        }
        targets = build_targets(
            _truths(video),
            [self._index[note.label] for note in video.annotations],
            window,
            self._source.num_frames[position],
            num_classes=len(self._index),
            num_rows=self._num_rows,
            config=config,
        )
        return {**streams, "num_frames": torch.tensor(window.num_frames), **targets}

    def describe(self, index: int) -> str:
        """The window's video, for messages."""
        return self._source.videos[self._windows[index][0]].video_id

    def _cut(self, video_id: str, stream: str, window: Window, seed: int | None) -> Pixels:
        frames = window_frames(self._store.read(video_id, stream), window, self._config, seed)
        if seed is not None and self._source.flip and np.random.default_rng(seed).random() < 0.5:
            frames = mirrored(frames, flow=stream == "flow")
        return np.ascontiguousarray(frames)


def window_frames(
    frames_FHWC: Pixels, window: Window, config: SPTADConfig, seed: int | None = None
) -> Pixels:
    """The cropped frames (L, H, W, C) of a window; those beyond the video are zero.

    Args:
        frames_FHWC: of the whole video.
        seed: decides where the crop lies, alike for all streams; None takes the middle.
    """
    size, room = config.crop_size, config.frame_size - config.crop_size
    top, left = (
        (room // 2, room // 2)
        if seed is None
        else np.random.default_rng([seed, 1]).integers(0, room + 1, 2).tolist()
    )
    there = frames_FHWC[
        window.start_idx : window.start_idx + window.num_frames, top : top + size, left : left + size
    ]
    if window.num_frames == config.window_frames:
        return there
    padded = np.zeros((config.window_frames, size, size, there.shape[-1]), np.uint8)
    padded[: window.num_frames] = there
    return padded


def _truths(video: LabelledVideo) -> NDArray[np.float64]:
    """(G, 2) true segments as fractions of the video, cut to it."""
    rows = [(note.start_s / video.duration_s, note.end_s / video.duration_s) for note in video.annotations]
    return np.clip(np.array(rows, np.float64).reshape(-1, 2), 0.0, 1.0)
