"""Checks of settings shared by the backbones; free of torch, as their configs are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def check_at_least_one(config: Any, *fields: str) -> None:
    """Refuse a config in which one of these whole numbers is below 1."""
    for field in fields:
        if getattr(config, field) < 1:
            raise ValueError(f"{field}: expected at least 1, got {getattr(config, field)}")


def check_dropout(dropout: float, field: str = "dropout") -> None:
    """Refuse a share of dropped units outside [0, 1)."""
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"{field}: expected a value in [0, 1), got {dropout}")


def check_pixels(mean: Sequence[float], std: Sequence[float]) -> None:
    """Refuse a `pixel_mean` or `pixel_std` that does not fit pixel values in [0, 1]."""
    if not all(0.0 <= value <= 1.0 for value in mean):
        raise ValueError(f"pixel_mean: expected values in [0, 1], not 0 to 255; got {tuple(mean)}")
    if not all(0.0 < value <= 1.0 for value in std):
        raise ValueError(f"pixel_std: expected values in (0, 1], not 0 to 255; got {tuple(std)}")


def check_whole(setting: str, unit: int, **sizes: int) -> None:
    """Refuse a side of the clip that is not a positive multiple of a setting."""
    for name, size in sizes.items():
        if size < 1 or size % unit:
            raise ValueError(f"{setting}: {name} {size} of a clip is not a multiple of {setting} {unit}")
