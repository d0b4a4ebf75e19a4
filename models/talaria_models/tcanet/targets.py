"""What TCANet learns from: the best proposals of a video, each with its truth.

Qing et al. 2021, arXiv 2103.13141, "Training of TCANet", as the published code does it.

Letters: P proposals, G truths.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from talaria_models import refining
from talaria_models.tcanet.config import TCANetConfig

SHORTEST_TRUTH_S = 1.0
"""The published training leaves out instances of this length in seconds or shorter."""


def build_targets(
    proposals_P2: npt.NDArray[np.floating] | Tensor,
    truths_G2: npt.NDArray[np.floating] | Tensor,
    config: TCANetConfig,
) -> dict[str, Tensor]:
    """`refining.build_targets` for the best `config.num_training_proposals` proposals, padded to that many.

    Args:
        proposals_P2: (P, 2) fractions of the video, best first.
        truths_G2: (G, 2) fractions of the video; G may be 0.
        config: gives the number of rows.
    """
    return refining.build_targets(proposals_P2, truths_G2, config.num_training_proposals)


def trainable_truths(
    segments_s: npt.NDArray[np.floating], duration_s: float, shortest_s: float = SHORTEST_TRUTH_S
) -> npt.NDArray[np.float64]:
    """True segments longer than `shortest_s`, as fractions of the video.

    Args:
        segments_s: (G, 2) start and end in seconds; G may be 0.
        duration_s: of the video, more than 0.

    Returns:
        (K, 2) in the given order. The published training drops a video that is left without any.
    """
    segments_s = np.asarray(segments_s, dtype=np.float64).reshape(-1, 2)
    longer = segments_s[:, 1] - segments_s[:, 0] > shortest_s
    fractions: npt.NDArray[np.float64] = segments_s[longer] / duration_s
    return fractions
