"""From SP-TAD's logits to scored segments of windows, and from those to the segments of a video.

The two steps are apart because the windows of a video may lie in several batches. Section 3.2.2.

Letters: B windows of a batch, W windows of a video, P proposals, K classes, N segments of a video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from talaria_models.found import FoundSegments
from talaria_models.sp_tad.model import SPTADOutput
from talaria_models.sp_tad.windows import Window, to_video


@dataclass(frozen=True, eq=False)
class WindowSegments:
    """What the last detection head found in one window.

    Attributes:
        segments_P2: start <= end, fractions of the window; they may leave [0, 1].
        class_scores_PK: in [0, 1], probability of each class times that of its happening in the window.
    """

    segments_P2: NDArray[np.float32]
    class_scores_PK: NDArray[np.float32]


def window_segments(output: SPTADOutput) -> list[WindowSegments]:
    """Segments and scores of every window of a batch."""
    last = output.stages[-1]
    scores_BPK = torch.sigmoid(last.class_logits_BPK.float())
    scores_BPK = scores_BPK * torch.sigmoid(output.clip_logits_BK.float())[:, None]
    segments = last.segments_BP2.detach().float().cpu().numpy()
    scores = scores_BPK.detach().cpu().numpy()
    return [WindowSegments(*window) for window in zip(segments, scores, strict=True)]


def found_segments(
    windows: Sequence[Window], found: Sequence[WindowSegments], *, size: int, num_frames: int, top: int
) -> FoundSegments:
    """The best segments of a video, those of all windows together; suppression of doubles comes later.

    A segment's score is its best class score; its class scores are given as shares of that, so that their
    product is the class score of section 3.2.2.

    Args:
        windows: of the video, at least one.
        found: what was found in each.
        size: frames of a window, padding included.
        num_frames: frames of the video.
        top: most segments to keep; those that lie outside of the video do not count.

    Returns:
        At most `top` segments; equal scores keep the order of windows and proposals.
    """
    moved = [
        to_video(window_found.segments_P2, window, size, num_frames)
        for window, window_found in zip(windows, found, strict=True)
    ]
    segments_N2 = np.concatenate(moved).astype(np.float32)
    scores_NK = np.concatenate([window_found.class_scores_PK for window_found in found])
    real_N = segments_N2[:, 1] > segments_N2[:, 0]
    segments_N2, scores_NK = segments_N2[real_N], scores_NK[real_N]
    best_N = np.argsort(-scores_NK.max(axis=1), kind="stable")[:top]
    segments_N2, scores_NK = segments_N2[best_N], scores_NK[best_N]
    score_N = scores_NK.max(axis=1)
    shares_NK = scores_NK / np.maximum(score_N, np.finfo(np.float32).tiny)[:, None]
    return FoundSegments(segments_N2, score_N, shares_NK)
