"""From what the Refine Network says to stored probabilities, and from those to scored segments.

The two steps are apart because raw predictions are kept: the report adds up those of several networks,
proposal by proposal, so their order is that of the proposals.

Letters: B batch, T snippets, P proposals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from talaria_models.refine_network.model import RefineNetworkOutput


@dataclass(frozen=True)
class RawRefinement:
    """What the last module says of one batch, float32 on the model's device.

    Attributes:
        segments_BP2: refined segments as fractions of the video; zero at padding.
        score_BP: predicted tIoU in [0, 1]; zero at padding.
        action_BT: probability of action per snippet, zero at padding; None when it is switched off.
    """

    segments_BP2: Tensor
    score_BP: Tensor
    action_BT: Tensor | None


def probabilities(output: RefineNetworkOutput, mask_BT: Tensor | None = None) -> RawRefinement:
    """The last module's segments and probabilities.

    Args:
        output: what the model returned.
        mask_BT: the mask that the model was given; None when every video fills the batch.
    """
    last = output.stages[-1]
    score_BP = torch.sigmoid(last.score_logits_BP.float()) * last.valid_BP
    action_BT = None if output.action_logits_BT is None else torch.sigmoid(output.action_logits_BT.float())
    if mask_BT is not None and action_BT is not None:
        action_BT = action_BT * mask_BT
    return RawRefinement(last.segments_BP2.float(), score_BP, action_BT)


def proposals(
    segments_P2: npt.NDArray[np.floating], score_P: npt.NDArray[np.floating], *, top: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The best refined segments of one video.

    Args:
        segments_P2: (P, 2) start and end as fractions; those of no length are left out.
        score_P: (P,) scores.
        top: how many to keep at most.

    Returns:
        (N, 2) segments and (N,) scores, best first; equal scores keep the order of the proposals.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if segments_P2.shape != (len(score_P), 2):
        raise ValueError(f"segments {segments_P2.shape} and scores {score_P.shape} disagree")
    real = segments_P2[:, 1] > segments_P2[:, 0]
    segments, scores = segments_P2[real].astype(np.float64), score_P[real].astype(np.float64)
    best = np.argsort(-scores, kind="stable")[:top]
    return segments[best], scores[best]
