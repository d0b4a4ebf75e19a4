"""Trained models on stored features: restored, checked against the features, on the worker's device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from talaria.data.timebase import resize_snippets
from talaria.errors import DataError
from talaria.prediction.inputs import resized_features
from talaria.store.checkpoint import load_model
from talaria.store.feature_store import FeatureContract, FeatureStore, VideoFeatures


def restored(folder: Path, store: FeatureStore) -> tuple[nn.Module, Mapping[str, Any]]:
    """A trained model for inference, and its card.

    Raises:
        DataError: it was trained on other features than those of `store`; the fields that differ are named.
    """
    model, saved = load_model(folder)
    store.contract.require(contract_from_dict(saved.card["contract"]), consumer=str(folder))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return model.to(device), saved.card


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights lie."""
    return next(model.parameters()).device


class ClassLogits:
    """Class logits of a video: one row of a video-level classifier, or those of its clips."""

    def __init__(self, store: FeatureStore, classifier: Path | None, num_rows: int | None) -> None:
        """Load the classifier, if there is one.

        Args:
            store: the features that it was trained on.
            classifier: folder of the video-level classifier; None for clip logits.
            num_rows: rows to which clip logits are resized; None keeps one for every snippet.

        Raises:
            DataError: the classifier was trained on other features.
        """
        self._stride_s, self._num_rows = store.contract.stride_s, num_rows
        self._model, self._bins = None, 0
        if classifier is not None:
            self._model, card = restored(classifier, store)
            self._bins = int(card["num_bins"])

    def __call__(self, stored: VideoFeatures) -> NDArray[np.float32]:
        """(R, K) logits of one video."""
        if self._model is None:
            num_rows = self._num_rows or len(stored.logits_TK)
            return resize_snippets(stored.logits_TK, stored.decoded_s, self._stride_s, num_rows)
        inputs = resized_features(stored, self._stride_s, self._bins).to(device_of(self._model))
        logits: NDArray[np.float32] = self._model(inputs).logits_BK.float().cpu().numpy()
        return logits


def contract_from_dict(fields: Mapping[str, Any]) -> FeatureContract:
    """The contract that a model card holds.

    Raises:
        DataError: it is not one.
    """
    try:
        return FeatureContract(**{**fields, "classes": tuple(fields["classes"])})
    except (TypeError, KeyError) as error:
        raise DataError(f"the model card holds no feature contract ({error})") from None
