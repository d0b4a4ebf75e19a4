"""What the tests of SP-TAD share: a small network, windows of noise, and outputs made from targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.sp_tad.model import SPTAD, SPTADOutput
from talaria_models.sp_tad.sparse_head import SPTADStage

SMALL: dict[str, Any] = {
    "window_frames": 32,
    "frame_size": 40,
    "crop_size": 32,
    "train_stride": 8,
    "infer_stride": 16,
    "streams": ("rgb",),
    "backbone_width": 8,
    "activation_checkpointing": False,
    "hidden_dim": 16,
    "num_proposals": 5,
    "num_stages": 2,
    "attention_heads": 2,
    "dynamic_dim": 4,
    "num_bins": 4,
    "feedforward_dim": 24,
}
NUM_CLASSES = 3


def small_config(**changes: Any) -> SPTADConfig:
    return SPTADConfig(**{**SMALL, **changes})


def small_model(seed: int = 0, **changes: Any) -> SPTAD:
    """A small network that has left its first state, in which all proposals are the whole window."""
    torch.manual_seed(seed)
    model = SPTAD(small_config(**changes), NUM_CLASSES)
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def noise(batch: int, config: SPTADConfig, seed: int = 0) -> dict[str, Tensor]:
    """Frames of every stream, as `forward` takes them."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, config.window_frames, config.crop_size, config.crop_size)
    clips = {
        f"{stream}_BLHWC": torch.randint(1, 256, (*shape, channels), dtype=torch.uint8, generator=generator)
        for stream, channels in (("rgb", 3), ("flow", 2))
    }
    return {name: clip for name, clip in clips.items() if name.split("_")[0] in config.streams}


def tensors(output: SPTADOutput) -> list[Tensor]:
    found = [part for stage in output.stages for part in (stage.segments_BP2, stage.class_logits_BPK)]
    return [*found, output.clip_logits_BK]


def targets_of(windows: Sequence[Sequence[tuple[float, float, int]]], num_rows: int = 6) -> dict[str, Tensor]:
    """Stacked targets of windows given as (start, end, class) of their truths."""
    targets = {
        "segments": torch.zeros(len(windows), num_rows, 2),
        "labels": torch.zeros(len(windows), num_rows, dtype=torch.int64),
        "valid": torch.zeros(len(windows), num_rows, dtype=torch.bool),
        "classes": torch.zeros(len(windows), NUM_CLASSES),
    }
    for window, truths in enumerate(windows):
        for row, (start, end, label) in enumerate(truths):
            targets["segments"][window, row] = torch.tensor([start, end])
            targets["labels"][window, row] = label
            targets["valid"][window, row] = True
            targets["classes"][window, label] = 1.0
    return targets


def random_output(batch: int, config: SPTADConfig, seed: int = 0) -> SPTADOutput:
    """Segments and logits as an untrained network might say them."""
    generator = torch.Generator().manual_seed(seed)
    stages = []
    for _ in range(config.num_stages):
        ends = torch.rand(batch, config.num_proposals, 2, generator=generator).sort(dim=-1).values
        logits = torch.randn(batch, config.num_proposals, NUM_CLASSES, generator=generator)
        stages.append(SPTADStage(ends.requires_grad_(), logits.requires_grad_()))
    return SPTADOutput(tuple(stages), torch.randn(batch, NUM_CLASSES, generator=generator).requires_grad_())


def perfect_output(targets: dict[str, Tensor], config: SPTADConfig, sure: float = 20.0) -> SPTADOutput:
    """What a network that knows the truths says: them first, nothing after."""
    batch = len(targets["valid"])
    segments = torch.tensor([0.4, 0.6]).repeat(batch, config.num_proposals, 1)
    logits = torch.full((batch, config.num_proposals, NUM_CLASSES), -sure)
    for window, row in targets["valid"].nonzero().tolist():
        segments[window, row] = targets["segments"][window, row]
        logits[window, row, targets["labels"][window, row]] = sure
    clip = torch.where(targets["classes"] > 0, sure, -sure)
    return SPTADOutput((SPTADStage(segments, logits),) * config.num_stages, clip)
