"""Stored features as a detector or classifier wants them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from talaria.data.timebase import full_features, resize_snippets
from talaria.store.feature_store import VideoFeatures


def whole_features(stored: VideoFeatures, stride_s: float, max_snippets: int) -> tuple[Tensor, float]:
    """A video's features (1, C, T) float32 at their own rate, and its length as a fraction of their span."""
    features_TC, scale = full_features(stored.features_TC, stored.decoded_s, stride_s, max_snippets)
    return torch.from_numpy(np.ascontiguousarray(features_TC.T[None])), scale


def resized_features(stored: VideoFeatures, stride_s: float, num_bins: int) -> Tensor:
    """A video's features (1, C, num_bins) float32 over its whole decoded length."""
    resized = resize_snippets(stored.features_TC, stored.decoded_s, stride_s, num_bins)
    return torch.from_numpy(np.ascontiguousarray(resized.T[None], dtype=np.float32))
