"""Batch-norm statistics measured after training instead of remembered from it ("precise BN").

While it trains, a batch norm normalises with its micro-batch and keeps a running average that weighs the last
steps most: it mixes statistics of weights that no longer exist and depends on the order of the data. Before
a backbone is evaluated or used for features, its statistics are measured again with the final weights.
Source: Wu and Johnson, Rethinking "Batch" in BatchNorm (2021, arXiv 2105.07576), section 3.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def recompute_statistics(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Replace the running mean and variance of every batch norm by averages over `batches`.

    The average is cumulative and weighted by the number of clips of each batch, so it depends on the given
    batches and the weights alone: not on what the model held before, and on the order of the batches only by
    rounding. The averaged variances are the unbiased ones within a batch, as in training. Dropout is off, no
    gradient is taken, and each module gets back its training flag and each batch norm its momentum.

    Args:
        model: a bare module (not wrapped for several workers) on the device of `batches`. Of several workers,
            let one recompute and broadcast.
        batches: normalised clips_BCLHW, the same clips for every run that must agree.

    Returns:
        The number of clips used; 0 for a model without batch norm, which reads none.

    Raises:
        ValueError: the model has batch norms and `batches` is empty.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms:
        return 0
    training = {module: module.training for module in model.modules()}
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    try:
        return _accumulate(model, norms, batches)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, flag in training.items():
            module.training = flag


def _accumulate(model: nn.Module, norms: list[_BatchNorm], batches: Iterable[Tensor]) -> int:
    """A momentum of n / (clips so far) turns the running average into the plain weighted one."""
    num_clips = 0
    with torch.no_grad():
        for clips in batches:
            num_clips += clips.shape[0]
            for norm in norms:
                norm.momentum = clips.shape[0] / num_clips
            model(clips)
    if num_clips == 0:
        raise ValueError(
            "batches: expected at least one batch of clips to measure batch-norm statistics, got none"
        )
    return num_clips
