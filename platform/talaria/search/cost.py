"""What one video costs a network: GFLOP of its forward pass, counted on shapes alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from talaria_models.registry import ModelConfig, build

_GIGA = 1e9


def gflop(model: ModelConfig, sizes: dict[str, int], num_snippets: int, num_proposals: int | None) -> float:
    """GFLOP of one video, as `torch.utils.flop_counter` counts products of matrices and convolutions.

    The tensors are fake: nothing is computed, and the number is the same on every machine.

    Args:
        model: the network's config.
        sizes: what the data decides about it, `in_channels` among them.
        num_snippets: length of the video's features.
        num_proposals: segments that a refiner is given; None for detectors and classifiers.
    """
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused kernels are not counted
    try:
        with FakeTensorMode(), torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
            network = build(model, **sizes).eval()
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                _forward(network, torch.zeros(1, sizes["in_channels"], num_snippets), num_proposals)
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
    return float(counter.get_total_flops()) / _GIGA


def _forward(network: nn.Module, features_1CT: Tensor, num_proposals: int | None) -> None:
    if num_proposals is None:
        network(features_1CT)
        return
    proposals_1P2 = torch.tensor([0.25, 0.5]).repeat(1, num_proposals, 1)
    network(features_1CT, None, proposals_1P2, torch.ones(1, num_proposals, dtype=torch.bool))
