"""KT-MGFN learns from the classes of videos alone where the actions are."""

from __future__ import annotations

import torch
from torch import Tensor

from talaria_models.kt_mgfn.config import KTMGFNConfig, trimmed_branch
from talaria_models.kt_mgfn.criterion import KTMGFNCriterion
from talaria_models.kt_mgfn.decode import found_segments
from talaria_models.kt_mgfn.model import KTMGFN
from talaria_models.kt_mgfn.targets import build_targets, draw_trimmed

NUM_CLASSES, CHANNELS, SNIPPETS = 3, 10, 32
CONFIG = KTMGFNConfig(
    num_snippets=SNIPPETS, hidden_dim=24, regressor_dim=24, anchor_lengths=(4.0, 8.0, 16.0), dropout=0.2
)


def videos(count: int, seed: int) -> tuple[Tensor, list[tuple[int, int, int]]]:
    """Features (N, C, T): noise in which a class is a direction; (start, end, class) of the one action."""
    generator = torch.Generator().manual_seed(seed)
    features = 0.4 * torch.randn(count, CHANNELS, SNIPPETS, generator=generator)
    truths = []
    for video in range(count):
        length = int(torch.randint(5, 13, (), generator=generator))
        start = int(torch.randint(0, SNIPPETS - length, (), generator=generator))
        features[video, video % NUM_CLASSES, start : start + length] += 1.5
        truths.append((start, start + length, video % NUM_CLASSES))
    return features, truths


def clips(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features (N, C, 6) of actions without surroundings, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    features = 0.4 * torch.randn(count, CHANNELS, 6, generator=generator)
    label = torch.arange(count) % NUM_CLASSES
    features[torch.arange(count), label] += 1.5
    return features, label


def trained(
    config: KTMGFNConfig, features: Tensor, truth: dict[str, Tensor], epochs: int
) -> tuple[KTMGFN, list[float]]:
    """A network after some epochs, and its losses."""
    torch.manual_seed(0)
    model, criterion = KTMGFN(config, CHANNELS, NUM_CLASSES), KTMGFNCriterion(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(epochs):
        for rows in torch.randperm(len(features)).split(16):
            batch = {key: value[rows] for key, value in truth.items()}
            output = model(features[rows], labels_BK=batch["classes"])
            loss = criterion(output, batch, criterion.counts(batch))["total"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return model.eval(), losses


def tiou(first: tuple[float, float], second: tuple[float, float]) -> float:
    shared = max(0.0, min(first[1], second[1]) - max(first[0], second[0]))
    return shared / (first[1] - first[0] + second[1] - second[0] - shared)


def test_it_finds_actions_of_which_it_was_told_only_the_class() -> None:
    clip_features, clip_label = clips(24, seed=1)
    clip_classes = torch.eye(NUM_CLASSES)[clip_label]
    source, losses = trained(trimmed_branch(CONFIG), clip_features, {"classes": clip_classes}, epochs=20)
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        pooled = source(clip_features, labels_BK=clip_classes).pooled_BGH

    features, truths = videos(48, seed=2)
    samples = [
        build_targets([label], NUM_CLASSES) | draw_trimmed(pooled, clip_label, [label], 4, seed=number)
        for number, (_, _, label) in enumerate(truths)
    ]
    stacked = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    model, _ = trained(CONFIG, features, stacked, epochs=25)

    unseen, wanted = videos(30, seed=3)
    with torch.no_grad():
        found = found_segments(model(unseen), CONFIG, top=20)
    first = [(one.segments_P2[0] * SNIPPETS, one.class_scores_PK[0].argmax()) for one in found]
    right = [int(label) == truth[2] for (_, label), truth in zip(first, wanted, strict=True)]
    overlaps = [
        tiou((float(edges[0]), float(edges[1])), (truth[0], truth[1]))
        for (edges, _), truth in zip(first, wanted, strict=True)
    ]
    # The whole video overlaps these actions by 0.27, a segment of their mean length anywhere by 0.2.
    assert sum(right) >= 27
    assert sum(overlaps) / len(overlaps) > 0.6
