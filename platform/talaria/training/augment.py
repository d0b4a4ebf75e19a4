"""Random changes of a clip that leave its class: mirror, colour, brightness, position.

All frames of a clip change alike, so that motion stays what it is. Flow has no colour to change, and what
moves to the right moves to the left in a mirror.

Letters: L frames, H, W pixels, C colours, or motion along x and y.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talaria_models.backbones.flow import FLOW_ZERO

Pixels = NDArray[np.uint8]

_GAIN, _BIAS, _SHIFT_FRAC = 0.4, 60.0, 0.15


def augmented(clip_LHWC: Pixels, seed: int, *, flip: bool, jitter: float, flow: bool) -> Pixels:
    """A changed copy of a clip (L, H, W, C).

    Args:
        seed: decides every draw; clips of colours and of flow are mirrored and shifted alike by one seed.
        flip: mirror half of the clips.
        jitter: strength in [0, 1] of gain and bias of each colour, of their order, and of a shift that
            repeats the border; 0 changes nothing.
        flow: the clip holds motion as `talaria_models.backbones.flow` describes it.
    """
    rng = np.random.default_rng(seed)
    clip = clip_LHWC
    if flip and rng.random() < 0.5:
        clip = mirrored(clip, flow=flow)
    if jitter > 0:
        clip = _shifted(clip, jitter, rng)
        clip = clip if flow else _recoloured(clip, jitter, rng)
    return np.ascontiguousarray(clip)


def mirrored(clip_LHWC: Pixels, *, flow: bool) -> Pixels:
    """A clip of colours or of motion (L, H, W, C) with left and right exchanged."""
    turned = clip_LHWC[:, :, ::-1]
    if flow:
        turned = turned.copy()
        turned[..., 0] = 2 * FLOW_ZERO - turned[..., 0].astype(np.int16)
    return turned


def _shifted(clip: Pixels, jitter: float, rng: np.random.Generator) -> Pixels:
    height, width = clip.shape[1:3]
    down, across = rng.uniform(-1, 1, 2) * jitter * _SHIFT_FRAC * (height, width)
    rows = np.clip(np.arange(height) + round(down), 0, height - 1)
    columns = np.clip(np.arange(width) + round(across), 0, width - 1)
    return clip[:, rows[:, None], columns]


def _recoloured(clip: Pixels, jitter: float, rng: np.random.Generator) -> Pixels:
    gains = np.exp(rng.uniform(-1, 1, 3) * jitter * _GAIN)
    biases = rng.uniform(-1, 1, 3) * jitter * _BIAS
    order = rng.permutation(3) if rng.random() < jitter else np.arange(3)
    levels = np.arange(256.0)[:, None] * gains + biases
    tables = np.clip(levels, 0, 255).astype(np.uint8)
    return np.stack([tables[clip[..., source], colour] for colour, source in enumerate(order)], axis=-1)
