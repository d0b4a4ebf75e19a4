"""What the Refine Network learns from the true segments of a video.

Qing et al. 2020, section 1.3. Proposals are matched as for every refiner (`refining.py`); the Action Score
adds a label per snippet.

Letters: T snippets, P proposals, G truths.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from talaria_models import refining
from talaria_models.segments import ioa


def build_targets(
    proposals_P2: npt.NDArray[np.floating] | Tensor,
    truths_G2: npt.NDArray[np.floating] | Tensor,
    num_snippets: int,
    num_proposals: int | None = None,
) -> dict[str, Tensor]:
    """Label the proposals and the snippets of one video.

    Videos of a batch may differ in T and P: zeros appended to either axis change nothing.

    Args:
        proposals_P2: (P, 2) start and end as fractions of the video, best first; clipped to [0, 1], as the
            network does.
        truths_G2: (G, 2) in the same unit, clipped to [0, 1]; G may be 0.
        num_snippets: T of this video, at least 1.
        num_proposals: rows to keep or to pad to; None for all proposals and no padding.

    Returns:
        What `refining.build_targets` returns (`proposals`, `truth`, `tiou`, `valid`), and for the snippets
        `action` (T,), the largest share of it that one truth covers, and `snippet_valid` (T,), all true.

    Raises:
        ValueError: a segment that is not finite or ends before it starts, or num_snippets below 1.
    """
    if num_snippets < 1:
        raise ValueError(f"num_snippets: found {num_snippets}, expected at least 1")
    proposals = refining.checked(proposals_P2, "proposals").clamp(0.0, 1.0)
    truths = refining.checked(truths_G2, "truths").clamp(0.0, 1.0)
    start_T = torch.arange(num_snippets, dtype=torch.float64)
    action_TG = ioa(torch.stack([start_T, start_T + 1.0], dim=1), truths * num_snippets)
    return {
        **refining.build_targets(proposals, truths, num_proposals),
        "action": torch.cat([action_TG, action_TG.new_zeros(num_snippets, 1)], dim=1).amax(dim=1).float(),
        "snippet_valid": torch.ones(num_snippets, dtype=torch.bool),
    }
