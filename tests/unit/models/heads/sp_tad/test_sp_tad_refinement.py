"""Heads alone learn to find actions in windows never seen, and four in a row find more than one (table 6)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from sp_tad_cases import NUM_CLASSES, small_config, targets_of
from torch import Tensor

from talaria_models.segments import tiou
from talaria_models.sp_tad.criterion import SPTADCriterion
from talaria_models.sp_tad.model import SPTADHeads

NUM_FRAMES, CHANNELS, NUM_STEPS = 128, 8, 300
Truths = list[list[tuple[float, float, int]]]


def drawn_windows(batch: int, generator: torch.Generator) -> tuple[tuple[Tensor, ...], Truths]:
    """Levels in which every class, and none, is a direction of its own under noise; up to three actions."""
    happens = F.one_hot(torch.tensor(NUM_CLASSES)).float()[None, :, None].repeat(batch, 1, NUM_FRAMES)
    truths: Truths = [[] for _ in range(batch)]
    for row in range(batch):
        count = int(torch.randint(0, 4, (), generator=generator))
        bounds = 4 * torch.randperm(NUM_FRAMES // 4 + 1, generator=generator)[: 2 * count].sort().values
        for start, end in bounds.view(-1, 2).tolist():
            label = int(torch.randint(0, NUM_CLASSES, (), generator=generator))
            happens[row, :, start:end] = F.one_hot(torch.tensor(label), NUM_CLASSES + 1)[:, None].float()
            truths[row].append((start / NUM_FRAMES, end / NUM_FRAMES, label))
    directions = torch.randn(NUM_CLASSES + 1, CHANNELS, generator=torch.Generator().manual_seed(1))
    noise = 0.3 * torch.randn(batch, CHANNELS, NUM_FRAMES, generator=generator)
    features = torch.einsum("bkt,kc->bct", happens, directions) + noise
    return tuple(F.avg_pool1d(features, stride) for stride in (2, 4, 8)), truths


def trained_heads(num_stages: int, generator: torch.Generator) -> SPTADHeads:
    torch.manual_seed(0)
    config = small_config(
        window_frames=NUM_FRAMES,
        hidden_dim=64,
        dynamic_dim=16,
        num_bins=16,
        feedforward_dim=128,
        num_proposals=10,
        num_stages=num_stages,
    )
    heads = SPTADHeads(config, NUM_CLASSES, (CHANNELS,) * 3)
    criterion = SPTADCriterion(config, linear_sum_assignment)
    optimiser = torch.optim.AdamW(heads.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=NUM_STEPS, pct_start=0.1)
    for _ in range(NUM_STEPS):
        levels, truths = drawn_windows(16, generator)
        targets = targets_of(truths)
        optimiser.zero_grad()
        criterion(heads(levels), targets, criterion.counts(targets))["total"].backward()
        torch.nn.utils.clip_grad_norm_(heads.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return heads.eval()


def share_found(num_stages: int) -> float:
    """Share of actions that a window's best predictions hit at a tIoU of 0.7, class included."""
    generator = torch.Generator().manual_seed(3)
    heads = trained_heads(num_stages, generator)
    levels, truths = drawn_windows(128, generator)
    with torch.inference_mode():
        last = heads(levels).stages[-1]
    hits = [
        hit
        for segments, logits, wanted in zip(last.segments_BP2, last.class_logits_BPK, truths, strict=True)
        for hit in found_ones(segments, logits, wanted)
    ]
    return sum(hits) / len(hits)


def found_ones(segments_P2: Tensor, logits_PK: Tensor, truths: list[tuple[float, float, int]]) -> list[bool]:
    """Whether each truth is among the best as many predictions."""
    if not truths:
        return []
    score_P, label_P = logits_PK.max(dim=1)
    best_N = score_P.topk(len(truths)).indices
    overlap_NG = tiou(segments_P2[best_N], torch.tensor(truths)[:, :2])
    right_NG = label_P[best_N][:, None] == torch.tensor([label for _, _, label in truths])
    return ((overlap_NG > 0.7) & right_NG).any(dim=0).tolist()


@pytest.mark.slow
def test_four_heads_find_more_than_one() -> None:
    one, four = share_found(1), share_found(4)
    assert four > 0.6
    assert four > one + 0.2
