"""What S-2D-TAN learns from the true segments of a video. 2019 winners' report, sections 1.2 and 1.3.

Letters: N true segments, Q candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from talaria_models.refining import checked
from talaria_models.s_2d_tan.candidates import layout
from talaria_models.s_2d_tan.config import S2DTANConfig
from talaria_models.segments import tiou

NO_CLASS = -1


def build_targets(
    segments_frac: npt.NDArray[np.floating] | Tensor,
    labels: Sequence[int],
    config: S2DTANConfig,
    num_valid: int | None = None,
) -> dict[str, Tensor]:
    """Overlap and class of every candidate.

    Args:
        segments_frac: (N, 2) true segments as fractions of the video, clipped to [0, 1]; N may be 0.
        labels: class index of each.
        config: gives the grid and the thresholds.
        num_valid: snippets that the video fills, from 1 to num_snippets; None for all of them.

    Returns:
        `overlap` (Q,) in [0, 1]: best tIoU, scaled so that tiou_low is 0 and tiou_high is 1; `label` (Q,)
        int64: the class of the truth that overlaps it most, NO_CLASS where that tIoU is not above class_tiou
        or the candidate leaves the video; `valid` (Q,) bool.

    Raises:
        ValueError: a segment that is not finite or ends before it starts, or num_valid out of range.
    """
    size = config.num_snippets
    length = size if num_valid is None else num_valid
    if not 1 <= length <= size:
        raise ValueError(f"num_valid: found {length}, expected 1 to num_snippets = {size}")
    truths_N2 = checked(segments_frac, "segments_frac").clamp(0.0, 1.0) * length
    found = layout(size)
    valid_Q = torch.from_numpy(found.end_Q <= length)
    tiou_QN = tiou(torch.from_numpy(found.segments_Q2 * size), truths_N2)
    # Behind the last truth stands one that nothing overlaps.
    tiou_Q, best_Q = torch.cat([tiou_QN, tiou_QN.new_zeros(len(found), 1)], dim=1).max(dim=1)
    label_Q = torch.tensor([*labels, NO_CLASS])[best_Q]
    return {
        "overlap": (scaled_overlap(tiou_Q, config) * valid_Q).float(),
        "label": torch.where(valid_Q & (tiou_Q > config.class_tiou), label_Q, NO_CLASS),
        "valid": valid_Q,
    }


def scaled_overlap(tiou: Tensor, config: S2DTANConfig) -> Tensor:
    """0 up to tiou_low, 1 from tiou_high, linear in between (2D-TAN, arXiv 1912.03590, equation 5)."""
    return ((tiou - config.tiou_low) / (config.tiou_high - config.tiou_low)).clamp(0.0, 1.0)
