"""From KT-MGFN's output to the segments that it found in each video.

Letters: B batch, K classes, T snippets, P segments.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talaria_models.found import FoundSegments
from talaria_models.kt_mgfn.config import KTMGFNConfig
from talaria_models.kt_mgfn.model import KTMGFNOutput, predicted_classes
from talaria_models.kt_mgfn.oic import average_activation, best_anchors, contrast, normalised


def found_segments(output: KTMGFNOutput, config: KTMGFNConfig, top: int) -> list[FoundSegments]:
    """The segments of each video and each of its likely classes, best first.

    A segment belongs to the class whose activation it was found on: its class scores are the probability that
    the video has that class, and 0 for all others.

    Args:
        output: of one batch.
        config: that of the model.
        top: most segments of a video.
    """
    probability_BK = torch.sigmoid(output.class_logits_BK.float())
    wanted_BK = predicted_classes(probability_BK, config.found_threshold)
    activation_BKT = normalised(output.cas_BKT, output.valid_BT)
    found = []
    for row, wanted_K in enumerate(wanted_BK):
        length = int(output.valid_BT[row].sum())
        regressed_A2 = None if output.segments_BA2 is None else output.segments_BA2[row]
        parts = []
        for label in torch.nonzero(wanted_K).flatten().tolist():
            activation_T = activation_BKT[row, label, :length]
            segments_P2, score_P = _of_class(activation_T, regressed_A2, config)
            parts.append((segments_P2, score_P, torch.full_like(score_P, label)))
        segments_P2, score_P, label_P = (torch.cat(columns) for columns in zip(*parts, strict=True))
        found.append(_ranked(segments_P2 / max(length, 1), score_P, label_P.long(), probability_BK[row], top))
    return found


def _of_class(
    activation_T: Tensor, regressed_A2: Tensor | None, config: KTMGFNConfig
) -> tuple[Tensor, Tensor]:
    """Segments (P, 2) in snippets, cut to the video, and their scores (P,) in (0, 1]."""
    if regressed_A2 is None:
        return _runs(activation_T, config)
    num_anchors = len(config.anchor_lengths)
    inside_A2 = regressed_A2[: len(activation_T) * num_anchors]
    segments_1T2, contrast_1T = best_anchors(activation_T[None], inside_A2[None], config.inflation)
    kept_T = (activation_T > config.keep_activation) & (contrast_1T[0] > 0)
    return segments_1T2[0, kept_T].clamp(0.0, float(len(activation_T))), contrast_1T[0, kept_T]


def _runs(activation_T: Tensor, config: KTMGFNConfig) -> tuple[Tensor, Tensor]:
    """Runs of snippets above each threshold, each run once, and their scores."""
    edges = torch.tensor(sorted({run for cut in config.thresholds for run in _above(activation_T > cut)}))
    segments_P2 = edges.reshape(-1, 2).to(activation_T)
    if config.run_score == "mean":
        return segments_P2, average_activation(activation_T[None], segments_P2[None])[0]
    contrast_P = contrast(activation_T[None], segments_P2[None], config.inflation)[0]
    return segments_P2[contrast_P > 0], contrast_P[contrast_P > 0]


def _above(above_T: Tensor) -> list[tuple[int, int]]:
    """Start and end, exclusive, of every run of true."""
    zero = above_T.new_zeros(1)
    change_T = torch.diff(torch.cat([zero, above_T, zero]).int())
    starts, ends = torch.nonzero(change_T == 1).flatten(), torch.nonzero(change_T == -1).flatten()
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _ranked(
    segments_P2: Tensor, score_P: Tensor, label_P: Tensor, probability_K: Tensor, top: int
) -> FoundSegments:
    """The `top` segments by score times the probability of their class; equal ones keep their order."""
    probability_P = probability_K[label_P]
    best_P = torch.sort(score_P * probability_P, descending=True, stable=True).indices[:top]
    class_scores_PK = torch.zeros(len(best_P), len(probability_K), device=score_P.device)
    class_scores_PK[torch.arange(len(best_P)), label_P[best_P]] = probability_P[best_P]
    return FoundSegments(
        _array(segments_P2[best_P]), _array(score_P[best_P].clamp(0.0, 1.0)), _array(class_scores_PK)
    )


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().cpu().numpy().astype(np.float32)
    return array
