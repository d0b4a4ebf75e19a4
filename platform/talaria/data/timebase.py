"""The one place for arithmetic between seconds, frames, snippets, fractions of a video and bins.

A video is resampled to a constant rate first: frame k of the resampled stream is what is on screen k / fps
seconds after the first frame. Snippet i stands for the frames [i * stride, (i + 1) * stride) of that stream.

Letters: T snippets, C channels, N any number of times or snippets, L frames of a clip.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from talaria.config.specs import ClipSpec

Floats = NDArray[np.float64]


def num_snippets(num_frames_resampled: int, spec: ClipSpec) -> int:
    """Snippets that cover a resampled stream; the last one may reach past its end.

    Raises:
        ValueError: if the stream holds no frame.
    """
    if num_frames_resampled < 1:
        raise ValueError(f"num_frames_resampled: expected at least 1, got {num_frames_resampled}")
    return -(-num_frames_resampled // spec.stride_frames)


def clip_start_idx(snippet_idx: int, spec: ClipSpec) -> int:
    """First frame of a snippet's clip, which is centred on the snippet; negative near the video's start."""
    return snippet_idx * spec.stride_frames + spec.stride_frames // 2 - spec.num_frames // 2


def clip_frames_idx(snippet_idx: ArrayLike, spec: ClipSpec, num_frames_resampled: int) -> NDArray[np.int64]:
    """Frames of the clips of some snippets; places outside the video repeat its edge frame.

    Args:
        snippet_idx: (N,) snippet indices.
        spec: how clips are cut.
        num_frames_resampled: length of the stream.

    Returns:
        (N, L) indices in [0, num_frames_resampled).
    """
    snippets_N = np.asarray(snippet_idx, dtype=np.int64)
    starts_N = snippets_N * spec.stride_frames + clip_start_idx(0, spec)
    frames_NL = starts_N[:, None] + np.arange(spec.num_frames)
    inside_NL: NDArray[np.int64] = np.clip(frames_NL, 0, num_frames_resampled - 1)
    return inside_NL


def snippet_centres_s(num_snippets: int, stride_s: float) -> Floats:
    """(T,) centre of every snippet's interval, seconds after the first frame."""
    return (np.arange(num_snippets, dtype=np.float64) + 0.5) * stride_s


def bin_centres_s(num_bins: int, duration_s: float) -> Floats:
    """(num_bins,) centres of equal bins over [0, duration_s]."""
    return (np.arange(num_bins, dtype=np.float64) + 0.5) * (duration_s / num_bins)


def resize_snippets(
    features_TC: NDArray[Any], duration_s: float, stride_s: float, num_bins: int
) -> NDArray[np.float32]:
    """Features at the centres of equal bins over the whole video, linear between snippet centres.

    Before the first and after the last snippet centre the nearest snippet is repeated.

    Args:
        features_TC: (T, C) with T >= 1, any floating type.
        duration_s: length of the video that the bins divide.
        stride_s: seconds per snippet.
        num_bins: at least 1.

    Returns:
        (num_bins, C) float32.

    Raises:
        ValueError: if there is no snippet, no bin, or a length is not positive.
    """
    if len(features_TC) < 1 or num_bins < 1:
        raise ValueError(f"expected at least one snippet and one bin, got {len(features_TC)} and {num_bins}")
    _check_positive(duration_s=duration_s, stride_s=stride_s)
    place = np.clip(bin_centres_s(num_bins, duration_s) / stride_s - 0.5, 0, len(features_TC) - 1)
    low_idx = place.astype(np.int64)
    high_idx = np.minimum(low_idx + 1, len(features_TC) - 1)
    share = (place - low_idx).astype(np.float32)[:, None]
    low_BC = features_TC[low_idx].astype(np.float32)
    high_BC = features_TC[high_idx].astype(np.float32)
    return low_BC + share * (high_BC - low_BC)


def full_features(
    features_TC: NDArray[Any], duration_s: float, stride_s: float, max_snippets: int
) -> tuple[NDArray[np.float32], float]:
    """Features at their own rate, for models that take any length; only very long videos are resized.

    Args:
        features_TC: (T, C) with T >= 1, any floating type.
        duration_s: length of the video.
        stride_s: seconds per snippet.
        max_snippets: most snippets of the result.

    Returns:
        (T', C) float32 with T' <= max_snippets, and the video's length as a fraction of the length that they
        cover: a fraction of the video times this is a fraction of the features.
    """
    if len(features_TC) <= max_snippets:
        _check_positive(duration_s=duration_s, stride_s=stride_s)
        return features_TC.astype(np.float32), duration_s / (len(features_TC) * stride_s)
    return resize_snippets(features_TC, duration_s, stride_s, max_snippets), 1.0


def seconds_to_frac(times_s: ArrayLike, duration_s: float) -> Floats:
    """Times as fractions of the video; times outside it give values outside [0, 1]."""
    _check_positive(duration_s=duration_s)
    return np.asarray(times_s, dtype=np.float64) / duration_s


def frac_to_seconds(times_frac: ArrayLike, duration_s: float) -> Floats:
    """Fractions of the video as seconds."""
    _check_positive(duration_s=duration_s)
    return np.asarray(times_frac, dtype=np.float64) * duration_s


def seconds_to_snippets(times_s: ArrayLike, stride_s: float) -> Floats:
    """Times on the snippet axis, where snippet i covers [i, i + 1); not rounded."""
    _check_positive(stride_s=stride_s)
    return np.asarray(times_s, dtype=np.float64) / stride_s


def snippets_to_seconds(times_idx: ArrayLike, stride_s: float) -> Floats:
    """Places on the snippet axis as seconds."""
    _check_positive(stride_s=stride_s)
    return np.asarray(times_idx, dtype=np.float64) * stride_s


def seconds_to_bins(times_s: ArrayLike, duration_s: float, num_bins: int) -> Floats:
    """Times on the bin axis, where bin j covers [j, j + 1); not rounded."""
    return seconds_to_frac(times_s, duration_s) * num_bins


def bins_to_seconds(times_idx: ArrayLike, duration_s: float, num_bins: int) -> Floats:
    """Places on the bin axis as seconds."""
    return frac_to_seconds(times_idx, duration_s) / num_bins


def _check_positive(**lengths_s: float) -> None:
    for name, value in lengths_s.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name}: expected a positive number of seconds, got {value!r}")
