"""Outputs of KT-MGFN made by hand, for the tests of its loss and of its decoding."""

from __future__ import annotations

import torch
from torch import Tensor

from talaria_models.kt_mgfn.model import KTMGFNOutput
from talaria_models.kt_mgfn.regressor import anchors

LOW, HIGH = -4.0, 4.0


def step_output(
    steps: list[dict[int, list[tuple[int, int]]]],
    *,
    num_classes: int = 3,
    num_snippets: int = 40,
    lengths: list[int] | None = None,
    anchor_lengths: tuple[float, ...] | None = None,
    num_classifiers: int = 1,
) -> KTMGFNOutput:
    """Activation 2 inside the given runs of snippets of each video and class, and 0 elsewhere.

    Args:
        steps: for each video its classes, which are predicted with certainty, and their runs.
        num_classes, num_snippets: K, T.
        lengths: snippets of each video; None when all have T.
        anchor_lengths: of the anchors, which stay where they are; None for an output without BRM.
        num_classifiers: G.
    """
    cas_BKT = torch.zeros(len(steps), num_classes, num_snippets)
    logits_BK = torch.full((len(steps), num_classes), LOW)
    for video, runs_of in enumerate(steps):
        for label, runs in runs_of.items():
            logits_BK[video, label] = HIGH
            for start, end in runs:
                cas_BKT[video, label, start:end] = 2.0
    valid_BT = torch.ones(len(steps), num_snippets, dtype=torch.bool)
    if lengths is not None:
        valid_BT = torch.arange(num_snippets) < torch.tensor(lengths)[:, None]
    segments_BA2: Tensor | None = None
    if anchor_lengths is not None:
        segments_BA2 = anchors(num_snippets, anchor_lengths).flatten(0, 1).expand(len(steps), -1, -1)
    return KTMGFNOutput(
        logits_BGK=logits_BK[:, None].expand(-1, num_classifiers, -1),
        pooled_BGH=torch.zeros(len(steps), num_classifiers, 4),
        class_logits_BK=logits_BK,
        cas_BKT=cas_BKT,
        erased_BT=torch.zeros_like(valid_BT),
        valid_BT=valid_BT,
        segments_BA2=segments_BA2,
    )
