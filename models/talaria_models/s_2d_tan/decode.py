"""From S-2D-TAN's logits to segments with a score and classes of their own.

2019 winners' report, section 1.4 (equation 1): the product of the two is left to post-processing.
"""

from __future__ import annotations

import numpy as np
import torch

from talaria_models.found import FoundSegments
from talaria_models.s_2d_tan.candidates import CandidateLayout
from talaria_models.s_2d_tan.model import S2DTANOutput


def found_segments(output: S2DTANOutput, candidates: CandidateLayout, top: int) -> list[FoundSegments]:
    """The candidates of each video that overlap an action most, best first.

    Args:
        output: logits of one batch.
        candidates: what Q stands for.
        top: most segments of a video.
    """
    overlap_BQ = torch.sigmoid(output.overlap_logits_BQ.float()).masked_fill(~output.valid_BQ, -1.0)
    found = []
    for row, overlap_Q in enumerate(overlap_BQ):
        count = min(top, int(output.valid_BQ[row].sum()))
        best_P = torch.sort(overlap_Q, descending=True, stable=True).indices[:count]
        shares_PK = torch.softmax(output.class_logits_BQK[row, best_P].float(), dim=1)
        segments_P2 = candidates.segments_Q2[best_P.cpu().numpy()].astype(np.float32)
        scores_P = overlap_Q[best_P].cpu().numpy()
        found.append(FoundSegments(segments_P2, scores_P, shares_PK.cpu().numpy()))
    return found
