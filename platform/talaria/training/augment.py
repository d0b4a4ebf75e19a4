"""Random changes of a clip that leave its class: mirror, colour, brightness, position.

All frames of a clip change alike, so that motion stays what it is.

Letters: L frames, H, W pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_GAIN, _BIAS, _SHIFT_FRAC = 0.4, 60.0, 0.15


def augmented(clip_LHWC: Pixels, seed: int, *, flip: bool, jitter: float) -> Pixels:
    """A changed copy of a clip (L, H, W, 3).

    Args:
        seed: decides every draw.
        flip: mirror half of the clips.
        jitter: strength in [0, 1] of gain and bias of each colour, of their order, and of a shift that
            repeats the border; 0 changes nothing.
    """
    rng = np.random.default_rng(seed)
    clip = clip_LHWC
    if flip and rng.random() < 0.5:
        clip = clip[:, :, ::-1]
    if jitter > 0:
        clip = _recoloured(_shifted(clip, jitter, rng), jitter, rng)
    return np.ascontiguousarray(clip)


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
