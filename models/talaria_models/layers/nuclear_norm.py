"""Batch nuclear norm: how decided and how diverse the class scores of a batch are, in one number.

Cui, Wang, Zhuo, Li, Huang, Tian, Towards Discriminability and Diversity: Batch Nuclear-norm Maximization
under Label Insufficient Situations, 2020, arXiv 2003.12237. Decided rows raise the matrix's Frobenius norm,
diverse rows its rank; the nuclear norm bounds the one from above and is a convex stand-in for the other.

Letters: B samples of one micro-batch, K classes, R = min(B, K) singular values.
"""

from __future__ import annotations

import torch
from torch import Tensor


def batch_nuclear_norm(logits_BK: Tensor) -> Tensor:
    """Sum of the singular values of a batch's class probabilities.

    The norm is no sum over samples: that of a whole batch is below the sum of its parts' norms. A criterion
    that uses it must therefore fix the parts. Ours takes it over each micro-batch, whose samples the recipe's
    `micro_batch_size` and the seed decide and the number of workers does not (`talaria.training.batches`),
    and adds up -norm / N with N the samples of the global batch: the mean of -norm / B over micro-batches,
    each weighted by its share of the samples. Other micro-batch sizes are another loss.

    Where singular values vanish the norm has a corner. The gradient there is the shortest subgradient: the
    directions of vanishing values, which the decomposition is free to choose, are left out, so that it is
    finite and the same on every machine.

    Args:
        logits_BK: any float type; B may be 0. Probabilities are taken in float32, or float64 for float64.

    Returns:
        A scalar in [sqrt(B / K), sqrt(B * R)]: the least for uniform rows, the most for certain ones spread
        evenly over the classes. 0 without rows; NaN where a logit is no number, for the trainer to report.
    """
    precise_BK = logits_BK if logits_BK.dtype == torch.float64 else logits_BK.float()
    share_BK = torch.softmax(precise_BK, dim=1)
    if not len(share_BK) or not share_BK.isfinite().all():
        return share_BK.sum()
    return (share_BK * _direction(share_BK.detach())).sum()


def _direction(share_BK: Tensor) -> Tensor:
    """The gradient (B, K) of the nuclear norm; its inner product with the matrix is the norm itself."""
    left_BR, value_R, right_RK = torch.linalg.svd(share_BK, full_matrices=False)
    noise = torch.finfo(share_BK.dtype).eps * max(share_BK.shape) * value_R[0]
    direction_BK: Tensor = (left_BR * (value_R > noise)) @ right_RK
    return direction_BK
