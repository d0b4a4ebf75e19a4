"""What the demo set looks like: a textured background, and shapes whose look says nothing about what they do.

Letters: F frames, H, W pixels, T texels of a shape's square texture.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

_TEXELS_PER_PIXEL = 4
_REACH = 1.45
"""Texture half-width in radii; no shape reaches further."""


@dataclass(frozen=True)
class Shape:
    """A lopsided blob with an off-centre spot.

    Attributes:
        radius: mean radius in pixels.
        texture: (T, T, 4) colour times cover, and cover in [0, 1]; its border is empty.
    """

    radius: float
    texture: Floats


def random_shape(radius: float, brightness: float, rng: np.random.Generator) -> Shape:
    """A shape of random outline and hue; `brightness` in [0, 1] is that of its body."""
    half = round(_REACH * radius * _TEXELS_PER_PIXEL)
    axis = (np.arange(-half, half + 1) / _TEXELS_PER_PIXEL).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    outline = np.ones_like(distance)
    for order in range(1, 5):
        outline += rng.uniform(0.0, 0.1) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    cover = np.clip(outline * radius - distance + 0.5, 0, 1)
    heading = rng.uniform(0, 2 * np.pi)
    spot_x, spot_y = 0.5 * radius * np.cos(heading), 0.5 * radius * np.sin(heading)
    spot = np.clip(0.35 * radius - np.hypot(x - spot_x, y - spot_y) + 0.5, 0, 1)[..., None]
    hue = rng.random()
    body = _colour(hue, rng.uniform(0.2, 0.6), brightness)
    mark = _colour(hue + rng.uniform(0.3, 0.7), rng.uniform(0.3, 1.0), 0.5 * brightness)
    colour = body + spot * (mark - body)
    texture = np.concatenate([colour * cover[..., None], cover[..., None]], axis=2)
    texture[[0, -1]] = texture[:, [0, -1]] = 0
    return Shape(radius, texture.astype(np.float32))


def random_background(height: int, width: int, rng: np.random.Generator) -> Pixels:
    """(H, W, 3): soft patches, finer grain and a tint, darker than any actor."""
    base = 255 * np.array(_colour(rng.random(), rng.uniform(0.05, 0.35), rng.uniform(0.15, 0.3)))
    image = np.broadcast_to(base, (height, width, 3)).copy()
    for cells, strength in ((3, 12.0), (8, 7.0), (24, 4.0)):
        grid = rng.standard_normal((cells + 1, cells + 1, 1)) + 0.4 * rng.standard_normal(
            (cells + 1, cells + 1, 3)
        )
        image += strength * _enlarged(grid, height, width)
    return np.clip(image, 0, 255).astype(np.uint8)


def paint(frame: Pixels, shape: Shape, pose: NDArray[np.float64]) -> None:
    """Lay a shape over a frame, in place; only the pixels that it may cover are touched.

    Args:
        frame: (H, W, 3).
        shape: what to paint.
        pose: x, y, turn, scale of `demo_motion`.
    """
    x, y, turn, scale = (float(value) for value in pose)
    reach = _REACH * shape.radius * scale
    top, bottom = max(0, round(y - reach)), min(frame.shape[0], round(y + reach) + 1)
    left, right = max(0, round(x - reach)), min(frame.shape[1], round(x + reach) + 1)
    if top >= bottom or left >= right:
        return
    across = (np.arange(left, right, dtype=np.float32) - x)[None, :] * (_TEXELS_PER_PIXEL / scale)
    down = (np.arange(top, bottom, dtype=np.float32) - y)[:, None] * (_TEXELS_PER_PIXEL / scale)
    centre, last = len(shape.texture) // 2 + 0.5, len(shape.texture) - 1
    cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    column = np.clip(cosine * across + sine * down + centre, 0, last).astype(np.int32)
    row = np.clip(cosine * down - sine * across + centre, 0, last).astype(np.int32)
    texels = shape.texture[row, column]
    patch = frame[top:bottom, left:right]
    patch[:] = patch * (1 - texels[..., 3:]) + 255 * texels[..., :3]


def _colour(hue: float, saturation: float, value: float) -> NDArray[np.float64]:
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def _enlarged(grid: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """A coarse (n, n, 3) grid stretched to (height, width, 3), linear between its points."""
    for axis, size in ((0, height), (1, width)):
        place = np.linspace(0, grid.shape[axis] - 1, size)
        low = np.minimum(place.astype(int), grid.shape[axis] - 2)
        share = (place - low).reshape([-1 if dim == axis else 1 for dim in range(3)])
        grid = grid.take(low, axis) * (1 - share) + grid.take(low + 1, axis) * share
    return grid
