"""What the tests of the backbones share: weights that hide nothing, and clips that differ by motion alone."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from talaria_models.backbones.batchnorm import recompute_statistics
from talaria_models.backbones.criterion import ClipCriterion
from talaria_models.backbones.pixels import normalise
from talaria_models.registry import BackboneConfig, build

Model = TypeVar("Model", bound=nn.Module)


def randomised(model: Model) -> Model:
    """No weight and no statistic at a value that hides an error (zero heads and norms, unit variances)."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            spread = torch.randn_like(tensor) * 0.1
            tensor.copy_(spread.abs() + 1.0 if name.endswith("running_var") else tensor + spread)
    return model


def moving_squares(num_pairs: int, seed: int) -> tuple[Tensor, Tensor]:
    """(2P, 16, 64, 64, 3) uint8 clips and labels: squares that go right (1), and the same clips reversed (0).

    A pair holds the same frames, so that nothing but motion tells its labels apart.
    """
    generator = torch.Generator().manual_seed(seed)
    right = torch.zeros(num_pairs, 16, 64, 64, 3, dtype=torch.uint8)
    for clip in right:
        top, left = torch.randint(0, 48, (2,), generator=generator).tolist()
        colour = torch.randint(80, 256, (3,), generator=generator, dtype=torch.uint8)
        for frame in range(16):
            columns = torch.arange(left + 2 * frame, left + 2 * frame + 16) % 64
            clip[frame, top : top + 16, columns] = colour
    labels = torch.arange(2).flip(0).repeat_interleave(num_pairs)
    return torch.cat([right, right.flip(1)]), labels


def tells_motion_apart(config: BackboneConfig, lr: float) -> bool:
    """Whether at most 40 steps from scratch label every clip of `moving_squares` by its motion."""
    clips_u8, labels = moving_squares(8, seed=1)
    model = build(config, num_classes=2, num_frames=16, height=64, width=64)
    clips = normalise(clips_u8, config.pixel_mean, config.pixel_std)
    criterion, targets = ClipCriterion(), {"label": labels}
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr)
    for _ in range(40):
        loss = criterion(model(clips), targets, criterion.counts(targets))["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.05:
            break
    recompute_statistics(model, clips.split(8))
    with torch.inference_mode():
        return model.eval()(clips).logits_BK.argmax(1).equal(labels)


def tells_order_apart(model: nn.Module, lr: float) -> bool:
    """Whether at most 120 steps label clips of 8 x 32 x 32 by the side to which a bar goes.

    For transformers whose positions and class token need more steps than `moving_squares` leaves time for.
    """
    generator = torch.Generator().manual_seed(1)
    right = torch.full((16, 3, 8, 32, 32), -0.2)
    for clip in right:
        top = 16 * int(torch.randint(0, 2, (1,), generator=generator))
        for frame in range(8):
            bar = slice(4 * frame, 4 * frame + 4)
            clip[:, frame, top : top + 16, bar] = 0.8 + torch.rand(3, 1, 1, generator=generator)
    clips, label_B = torch.cat([right, right.flip(2)]), torch.arange(2).repeat_interleave(16)
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr)
    for _ in range(120):
        loss = nn.functional.cross_entropy(model(clips).logits_BK, label_B)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.05:
            break
    with torch.inference_mode():
        return model.eval()(clips).logits_BK.argmax(1).equal(label_B)
