"""What all refiners share: the form of their output, and the matching of proposals to truths.

A refiner takes features and proposals and returns, stage by stage, moved segments and the logit of their
overlap with a true one:

    output = model(features_BCT, mask_BT, proposals_BP2, valid_BP)

Segments are fractions of the video throughout. The loss of such a cascade is in `refining_loss.py`.

Letters: B batch, P proposals, G truths. In training a stage may hold several copies of the proposals, one
after the other; its P is then a multiple of their number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from talaria_models.segments import tiou


@dataclass(frozen=True)
class RefinedStage:
    """One stage of a refiner. Segments are fractions of the video.

    Attributes:
        inputs_BP2: segments that entered the stage, detached.
        valid_BP: bool, false at padding.
        segments_BP2: segments that leave it. They may end beyond 1, and where a network regresses both
            boundaries on their own, these may have crossed: decoding leaves such segments out.
        score_logits_BP: logit of the tIoU of the segment that entered with its truth.
        regressions: (B, P, 2) raw offsets by the name of their code in `talaria_models.offsets.ENCODERS`.
    """

    inputs_BP2: Tensor
    valid_BP: Tensor
    segments_BP2: Tensor
    score_logits_BP: Tensor
    regressions: Mapping[str, Tensor]


@dataclass(frozen=True)
class RefinerOutput:
    """Stages in their order; the last one's segments are the most refined."""

    stages: tuple[RefinedStage, ...]


def build_targets(
    proposals_P2: npt.NDArray[np.floating] | Tensor,
    truths_G2: npt.NDArray[np.floating] | Tensor,
    num_proposals: int | None = None,
) -> dict[str, Tensor]:
    """Match every proposal of one video to the truth that it overlaps most.

    Args:
        proposals_P2: (P, 2) start and end as fractions of the video, best first; they may have zero length
            and may lie outside the video.
        truths_G2: (G, 2) in the same unit, clipped to [0, 1]; G may be 0.
        num_proposals: rows of what is returned: the first ones are kept, absent ones padded; None for P.

    Returns:
        Float32 `proposals` (P, 2); `truth` (P, 2), the matched truth: where none overlaps the nearest, where
        there is none [0, 0], which nothing overlaps; `tiou` (P,) in [0, 1]; bool `valid` (P,), false at
        padding, whose other entries are zero.

    Raises:
        ValueError: a segment that is not finite or ends before it starts; field and rows are named.
    """
    proposals, truths = checked(proposals_P2, "proposals"), checked(truths_G2, "truths").clamp(0.0, 1.0)
    size = len(proposals) if num_proposals is None else num_proposals
    proposals = proposals[:size]
    # Nothing of zero length is shared by two segments of zero length: 0 / 0.
    tiou_PG = tiou(proposals, truths).nan_to_num(0.0)
    # Behind the last truth stands one that nothing overlaps and that is farther than any other.
    closeness_PG = F.pad(
        torch.where(tiou_PG > 0.0, tiou_PG, -_gap(proposals, truths)), (0, 1), value=-math.inf
    )
    best_P = closeness_PG.argmax(dim=1)
    targets = {
        "proposals": proposals.float(),
        "truth": F.pad(truths, (0, 0, 0, 1))[best_P].float(),
        "tiou": F.pad(tiou_PG, (0, 1)).gather(1, best_P[:, None])[:, 0].float(),
        "valid": torch.ones(len(proposals), dtype=torch.bool),
    }
    return {key: _padded(value, size) for key, value in targets.items()}


def checked(segments: npt.NDArray[np.floating] | Tensor, field: str) -> Tensor:
    """(N, 2) float64 segments, all finite and none reversed; otherwise ValueError naming `field` and rows."""
    segments_N2 = torch.as_tensor(segments, dtype=torch.float64).reshape(-1, 2)
    wrong_N = ~torch.isfinite(segments_N2).all(dim=1) | (segments_N2[:, 1] < segments_N2[:, 0])
    if wrong_N.any():
        rows = [
            f"row {row}: {segments_N2[row].tolist()}" for row in wrong_N.nonzero().flatten()[:20].tolist()
        ]
        raise ValueError(f"{field}: expected start <= end, both finite; found {'; '.join(rows)}")
    return segments_N2


def _padded(rows: Tensor, size: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(size - len(rows), *rows.shape[1:])])


def _gap(proposals_P2: Tensor, truths_G2: Tensor) -> Tensor:
    """(P, G) time between two segments, 0 where they touch or overlap."""
    after_PG = proposals_P2[:, None, 0] - truths_G2[None, :, 1]
    before_PG = truths_G2[None, :, 0] - proposals_P2[:, None, 1]
    return torch.maximum(after_PG, before_PG).clamp_min(0.0)
