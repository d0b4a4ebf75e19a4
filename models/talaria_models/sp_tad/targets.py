"""What SP-TAD learns from the true segments of a video, window by window.

Wu et al. 2021, section 4.2: a window has the actions of which it holds more than half (tIoA), cut to it.

Letters: G truths, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from talaria_models.refining import checked
from talaria_models.segments import ioa
from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.sp_tad.windows import Window, sliding_windows

LEAST_INSIDE = 0.5
"""Share of an action that a window has to exceed to have it."""

Segments = npt.NDArray[np.floating] | Tensor


def training_windows(truths_frac: Segments, num_frames: int, config: SPTADConfig) -> list[Window]:
    """The windows of a video that have an action, as section 4.2 selects samples; none without truths.

    Args:
        truths_frac: (G, 2) true segments as fractions of the video.
        num_frames: frames of the video at the network's rate.
        config: gives size and stride.
    """
    windows = sliding_windows(num_frames, config.window_frames, config.train_stride)
    return [window for window in windows if len(rows_inside(truths_frac, window, num_frames))]


def rows_inside(truths_frac: Segments, window: Window, num_frames: int) -> Tensor:
    """(N,) int64 rows of the truths of which a window holds more than half; those of no length never are.

    Args and errors as of `build_targets`.
    """
    truths_idx, bounds_12 = _in_frames(truths_frac, window, num_frames)
    # 0 / 0 of a truth without length is not above the bound.
    return (ioa(truths_idx, bounds_12)[:, 0] > LEAST_INSIDE).nonzero()[:, 0]


def build_targets(
    truths_frac: Segments,
    labels: Sequence[int],
    window: Window,
    num_frames: int,
    *,
    num_classes: int,
    num_rows: int,
    config: SPTADConfig,
) -> dict[str, Tensor]:
    """Truths of one window, padded so that windows can be stacked.

    Args:
        truths_frac: (G, 2) true segments as fractions of the video, clipped to [0, 1]; G may be 0.
        labels: class of each, in [0, K).
        window: which.
        num_frames: frames of the video at the network's rate.
        num_classes: K.
        num_rows: rows of what is returned: at least the most truths that any window of the data set has,
            which `rows_inside` tells.
        config: gives the window's size.

    Returns:
        `segments` (num_rows, 2) float32, fractions of the window, cut to it; `labels` (num_rows,) int64;
        `valid` (num_rows,) bool, false at padding, whose other entries are zero; `classes` (K,) float32, 1
        for every class that happens in the window.

    Raises:
        ValueError: a segment that is not finite or ends before it starts, labels of another number, more
            truths than rows.
    """
    if len(labels) != len(truths_frac):
        raise ValueError(f"labels: found {len(labels)} for {len(truths_frac)} truths")
    rows = rows_inside(truths_frac, window, num_frames)
    if len(rows) > num_rows:
        raise ValueError(f"num_rows: found {num_rows}, expected at least the {len(rows)} truths of {window}")
    truths_idx, bounds_12 = _in_frames(truths_frac, window, num_frames)
    inside_idx = truths_idx[rows].clamp(bounds_12[0, 0], bounds_12[0, 1]) - window.start_idx
    label_N = torch.tensor(list(labels), dtype=torch.int64)[rows]
    segments, padded = torch.zeros(num_rows, 2), torch.zeros(num_rows, dtype=torch.int64)
    segments[: len(rows)], padded[: len(rows)] = (inside_idx / config.window_frames).float(), label_N
    classes = torch.zeros(num_classes)
    classes[label_N] = 1.0
    valid = torch.arange(num_rows) < len(rows)
    return {"segments": segments, "labels": padded, "valid": valid, "classes": classes}


def _in_frames(truths_frac: Segments, window: Window, num_frames: int) -> tuple[Tensor, Tensor]:
    """(G, 2) truths and (1, 2) the window, both in frames of the video, float64."""
    truths_idx = checked(truths_frac, "truths").clamp(0.0, 1.0) * num_frames
    bounds = (float(window.start_idx), float(window.start_idx + window.num_frames))
    return truths_idx, truths_idx.new_tensor([bounds])
