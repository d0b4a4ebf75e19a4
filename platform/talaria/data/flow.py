"""Optical flow of a stream of frames: motion in place of colours, for two-stream networks.

It is computed on frames as clips hold them, resampled and resized, so that the clip's settings alone decide
it. One frame waits for the next; memory does not grow with the video's length.

Letters: n frames of a block, H, W pixels; the last axis is (x, y), to the right and down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talaria.config.specs import ClipSpec, FlowSpec
from talaria.data.decoding import decode_frames
from talaria.data.decoding_messages import DecodedSummary
from talaria.errors import ConfigError
from talaria_models.backbones.flow import FLOW_STEPS, FLOW_ZERO

Pixels = NDArray[np.uint8]
Motion = Callable[[Pixels, Pixels], NDArray[np.float32]]


def clip_frames(
    path: str | Path, spec: ClipSpec, *, time_limit_s: float, summary: DecodedSummary | None = None
) -> Iterator[Pixels]:
    """What clips are cut from: a video's frames, or where the settings say so their flow.

    Args and errors are those of `decode_frames`; flow adds its `ConfigError`, and its time does not count.

    Yields:
        (n, H, W, channels) uint8 blocks with n >= 1; at least one.
    """
    frames = decode_frames(path, spec, time_limit_s=time_limit_s, summary=summary)
    return frames if spec.flow is None else flow_blocks(frames, spec.flow)


def flow_blocks(frame_blocks: Iterable[Pixels], spec: FlowSpec) -> Iterator[Pixels]:
    """One flow for every frame, however the stream is cut into blocks.

    Args:
        frame_blocks: consecutive RGB frames (n, H, W, 3).
        spec: method and bound.

    Yields:
        (n, H, W, 2) uint8 as `talaria_models.backbones.flow` describes it, n >= 1. Flow k leads from frame k
        to frame k + 1; the last frame repeats the flow before it, and a stream of one frame stands still.

    Raises:
        ConfigError: OpenCV, or the part of it that the method needs, is not installed.
    """
    motion, grey = flow_method(spec)
    waiting: list[Pixels] = []
    last: Pixels | None = None
    for block in frame_blocks:
        greys = [*waiting, *map(grey, block)]
        waiting = greys[-1:]
        if len(greys) > 1:
            flows = np.stack([encoded(motion(*pair), spec.bound_px) for pair in pairwise(greys)])
            last = flows[-1:]
            yield flows
    if waiting:
        yield np.full((1, *waiting[0].shape, 2), FLOW_ZERO, np.uint8) if last is None else last


def encoded(flow_px: NDArray[np.floating[Any]], bound_px: float) -> Pixels:
    """Displacements in pixels as bytes: cut to the bound, rounded to the nearest of its 127 steps."""
    steps = np.rint(np.clip(flow_px, -bound_px, bound_px) * (FLOW_STEPS / bound_px))
    stored: Pixels = (steps + FLOW_ZERO).astype(np.uint8)
    return stored


def flow_method(spec: FlowSpec) -> tuple[Motion, Callable[[Pixels], Pixels]]:
    """What tells the motion (H, W, 2) between two grey frames in pixels, and what makes a frame grey.

    OpenCV works on one thread in this process from here on, as a worker counts on one core; the number of
    threads changes no byte of either method.

    Sources: Kroeger et al., Fast Optical Flow using Dense Inverse Search, 2016, arXiv 1603.03590, as OpenCV's
    preset "medium"; Zach et al., A Duality Based Approach for Realtime TV-L1 Optical Flow, 2007, with
    OpenCV's defaults.

    Raises:
        ConfigError: naming what to install.
    """
    try:
        import cv2
    except ImportError:
        raise ConfigError(
            "clip.flow: needs OpenCV, which the extra flow installs: "
            "pip install -c constraints.txt -e '.[flow]'"
        ) from None
    cv2.setNumThreads(1)
    if spec.method == "dis":
        method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    elif hasattr(cv2, "optflow"):
        method = cv2.optflow.DualTVL1OpticalFlow_create()
    else:
        raise ConfigError(
            "clip.flow.method: found 'tvl1', which this OpenCV lacks; expected 'dis', or "
            "opencv-contrib-python-headless installed in place of opencv-python-headless"
        )
    return (
        lambda here, there: method.calc(here, there, None),
        lambda frame: cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY),
    )
