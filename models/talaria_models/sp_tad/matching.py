"""Which prediction answers for which truth: the cheapest assignment of each to at most one other.

Carion et al.: End-to-End Object Detection with Transformers, 2020, arXiv 2005.12872, section 3.1; costs as in
Sparse R-CNN (Sun et al. 2021, arXiv 2011.12450, section 3.1).

Letters: S detection heads, B windows, P predictions, G truths, K classes, M matched pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.sp_tad.sparse_head import SPTADStage

Assign = Callable[[NDArray[np.float64]], tuple[NDArray[np.intp], NDArray[np.intp]]]
"""From costs (P, G) to the rows and columns of the min(P, G) pairs of the least total cost:
`scipy.optimize.linear_sum_assignment`."""

SHORTEST_UNION = 1e-7
"""Least union and hull of two segments, as a fraction of the window; guards divisions."""


def giou(segments: Tensor, truths: Tensor) -> Tensor:
    """Generalised tIoU: tIoU, less the share of the hull of both that lies between them.

    Rezatofighi et al.: Generalized Intersection over Union, 2019, arXiv 1902.09630, algorithm 1, along time.

    Args:
        segments, truths: (..., 2) start <= end in one unit, shapes that broadcast.

    Returns:
        (...) in [-1, 1]; 1 for equal segments, below 0 only for segments that do not meet.
    """
    start, end = segments.unbind(dim=-1)
    true_start, true_end = truths.unbind(dim=-1)
    shared = (torch.minimum(end, true_end) - torch.maximum(start, true_start)).clamp_min(0.0)
    union = (end - start + true_end - true_start - shared).clamp_min(SHORTEST_UNION)
    hull = (torch.maximum(end, true_end) - torch.minimum(start, true_start)).clamp_min(SHORTEST_UNION)
    return shared / union - (hull - union).clamp_min(0.0) / hull


def focal_terms(logits: Tensor, alpha: float, gamma: float) -> tuple[Tensor, Tensor]:
    """Focal loss of every logit as a positive and as a negative, each of the shape of `logits`, float32.

    Lin et al.: Focal Loss for Dense Object Detection, 2017, arXiv 1708.02002, equation 5.
    """
    logits = logits.float()
    probability = torch.sigmoid(logits)
    positive = -alpha * (1.0 - probability) ** gamma * F.logsigmoid(logits)
    negative = -(1.0 - alpha) * probability**gamma * F.logsigmoid(-logits)
    return positive, negative


def matching_costs(stage: SPTADStage, targets: Mapping[str, Tensor], config: SPTADConfig) -> Tensor:
    """(B, P, G) weighted sum of focal cost, distance of both boundaries, and negative generalised tIoU."""
    positive_BPK, negative_BPK = focal_terms(stage.class_logits_BPK, config.focal_alpha, config.focal_gamma)
    label_BPG = targets["labels"][:, None].expand(-1, positive_BPK.shape[1], -1)
    class_BPG = (positive_BPK - negative_BPK).gather(2, label_BPG)
    segments_BP12, truths_B1G2 = stage.segments_BP2[:, :, None], targets["segments"][:, None]
    distance_BPG = (segments_BP12 - truths_B1G2).abs().sum(dim=-1)
    return (
        config.match_class_weight * class_BPG
        + config.match_l1_weight * distance_BPG
        - config.match_giou_weight * giou(segments_BP12, truths_B1G2)
    )


@torch.no_grad()
def matched(
    stages: Sequence[SPTADStage], targets: Mapping[str, Tensor], config: SPTADConfig, assign: Assign
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The cheapest pairs of every head and window.

    Args:
        stages: predictions, head by head.
        targets: stacked output of `build_targets`.
        config: weights of the costs.
        assign: solves one window.

    Returns:
        For each head three (M,) int64 on the device of its predictions: window, prediction, truth. A window
        of G truths has min(P, G) pairs. Of more truths than predictions, those that would cost most in
        total are left out.
    """
    costs_SBPG = torch.stack([matching_costs(stage, targets, config) for stage in stages])
    # A diverged network has no best assignment. It gets any, so that its loss, not the solver, says so.
    costs = np.nan_to_num(costs_SBPG.double().cpu().numpy())
    valid_BG = targets["valid"].cpu().numpy()
    device = costs_SBPG.device
    return [_pairs(head, valid_BG, assign, device) for head in costs]


def _pairs(
    costs_BPG: NDArray[np.float64], valid_BG: NDArray[np.bool_], assign: Assign, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of one head, window by window."""
    rows: list[NDArray[np.intp]] = []
    for window, (costs_PG, valid_G) in enumerate(zip(costs_BPG, valid_BG, strict=True)):
        truth_N = np.flatnonzero(valid_G)
        prediction_M, column_M = assign(costs_PG[:, truth_N])
        rows.append(np.stack([np.full_like(prediction_M, window), prediction_M, truth_N[column_M]]))
    window_M, prediction_M, truth_M = torch.from_numpy(np.concatenate(rows, axis=1)).to(device)
    return window_M, prediction_M, truth_M
