"""A tiny SP-TAD learns from frames to segments: synthetic windows, from scratch, some seconds."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from sp_tad_cases import small_config, targets_of
from torch import Tensor

from talaria_models.backbones.batchnorm import recompute_statistics
from talaria_models.backbones.pixels import network_input
from talaria_models.segments import tiou
from talaria_models.sp_tad.criterion import SPTADCriterion
from talaria_models.sp_tad.decode import found_segments, window_segments
from talaria_models.sp_tad.model import SPTAD
from talaria_models.sp_tad.windows import Window

TRUTHS = [
    [(0.125, 0.5, 0)],
    [(0.5, 0.8125, 1)],
    [(0.0625, 0.25, 1), (0.5, 0.9375, 0)],
    [],
]
NUM_STEPS = 100


def windows_of_colours() -> Tensor:
    """(B, 32, 16, 16, 3) uint8 noise; red while class 0 happens, green while class 1 does."""
    generator = torch.Generator().manual_seed(3)
    clips = torch.randint(90, 110, (len(TRUTHS), 32, 16, 16, 3), dtype=torch.uint8, generator=generator)
    for clip, truths in zip(clips, TRUTHS, strict=True):
        for start, end, label in truths:
            clip[int(start * 32) : int(end * 32), ..., label] = 240
    return clips


def test_a_tiny_network_overfits_some_windows() -> None:
    torch.manual_seed(0)
    config = small_config(
        crop_size=16, freeze_norms=False, hidden_dim=32, dynamic_dim=8, num_bins=8, feedforward_dim=64
    )
    model, criterion = SPTAD(config, num_classes=3), SPTADCriterion(config, linear_sum_assignment)
    clips, targets = windows_of_colours(), targets_of(TRUTHS)
    optimiser = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=NUM_STEPS, pct_start=0.1)
    losses = []
    for _ in range(NUM_STEPS):
        loss = criterion(model(clips), targets, criterion.counts(targets))["total"]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    recompute_statistics(model.stream("rgb"), [network_input(clips, model.stream("rgb").config)])
    with torch.inference_mode():
        found = window_segments(model.eval()(clips))
    for one, truths in zip(found, TRUTHS, strict=True):
        best = found_segments([Window(0, 32)], [one], size=32, num_frames=32, top=max(len(truths), 1))
        if not truths:
            assert best.scores_P[0] < 0.1
            continue
        assert best.scores_P.min() > 0.3
        overlap_PG = tiou(torch.from_numpy(best.segments_P2), torch.tensor(truths)[:, :2])
        assert overlap_PG.amax(dim=0).min() > 0.8
        labels = [truths[column][2] for column in overlap_PG.argmax(dim=1).tolist()]
        assert best.class_scores_PK.argmax(axis=1).tolist() == labels
