"""A backbone on chunks of one size: the same numbers whatever was retried, batched or spread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from talaria.features.requests import ExtractionPlan
from talaria.store.checkpoint import load_model
from talaria_models.backbones.pixels import network_input
from talaria_models.registry import BackboneConfig


class ChunkNetwork:
    """A backbone on chunks of one size, on this process's GPU if it has one."""

    def __init__(self, plan: ExtractionPlan) -> None:
        self._plan = plan
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if self._device.type == "cpu":
            torch.set_num_threads(1)
        self._model, saved = load_model(Path(plan.model), height=plan.spec.height, width=plan.spec.width)
        self._model.to(self._device)
        self._config: BackboneConfig = saved.config  # type: ignore[assignment]

    @torch.inference_mode()
    def __call__(self, frames: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Features (K, C) and logits (K, classes + 1) of the K clips of a chunk's frames (F, H, W, C)."""
        spec = self._plan.spec
        on_device = torch.from_numpy(frames).to(self._device)
        clips = on_device.unfold(0, spec.num_frames, spec.stride_frames).permute(0, 4, 1, 2, 3)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            output = self._model(network_input(clips, self._config))
        features, logits = output.features_BC.float().cpu().numpy(), output.logits_BK.float().cpu().numpy()
        with np.errstate(over="ignore"):  # whoever takes them looks for what is not finite
            return features.astype(self._plan.dtype), logits.astype(self._plan.dtype)
