"""One weight per model before the softmax: the log-loss of the weighted sum of logits, and its minimum.

The loss is convex in the weights, so that there is one minimum and no seed or learning rate decides it.

Letters: M models, V videos, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import minimize

from talaria.evaluation.arrays import FloatArray

_SUM_STRENGTH = 0.1
_OPTIONS = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-13, "gtol": 1e-7}


def video_losses(logits_VK: FloatArray, target_VK: FloatArray) -> FloatArray:
    """Cross-entropy of each video's softmax with its target, (V,) nats; 0 where the target is all zero."""
    peak_V1 = logits_VK.max(axis=1, keepdims=True)
    log_sum_V1 = np.log(np.exp(logits_VK - peak_V1).sum(axis=1, keepdims=True)) + peak_V1
    losses: FloatArray = (target_VK * (log_sum_V1 - logits_VK)).sum(axis=1)
    return losses


@dataclass(frozen=True, eq=False)
class WeightProblem:
    """Labelled videos on which weights are to be found.

    Attributes:
        logits_MVK: class logits, finite; a number added to all logits of a video changes nothing.
        target_VK: shares of the classes, each row with sum 1; V of at least 1.
    """

    logits_MVK: FloatArray
    target_VK: FloatArray

    def minimum(self, strength: float, start_M: FloatArray | None = None) -> FloatArray:
        """The weights, at or above 0, with the least mean log-loss under a pull towards equal ones.

        There are two pulls, worth some videos each: a pull has the curvature of the log-loss of so many
        videos whose scores are even. That towards equal shares is worth `strength` videos. That of the sum
        towards 1 is worth a tenth of one, so that videos which are all told right do not let it grow without
        end. In both a model counts by the spread of its logits; one that scores all classes alike gets 0.
        Copying all models halves their weights and changes no fused logit.

        Args:
            strength: above 0; the larger, the nearer to equal shares.
            start_M: where to begin, which saves time and changes nothing; by default equal weights.
        """
        equal_M = np.full(len(self.logits_MVK), 1.0 / len(self.logits_MVK))
        scale_M = np.sqrt(np.where(self._spread > 0, self._spread, 1.0))
        goal_M = equal_M * np.sqrt(self._spread)  # 0 for a model that scores all classes alike
        direction_M = goal_M / (np.linalg.norm(goal_M) or 1.0)
        video = len(equal_M) / len(self.target_VK)

        def objective(scaled_M: FloatArray) -> tuple[float, FloatArray]:
            loss, slope_M = self._loss(scaled_M / scale_M)
            away_M = scaled_M - goal_M
            along_M = (away_M @ direction_M) * direction_M
            pull_M = video * (_SUM_STRENGTH * along_M + strength * (away_M - along_M))
            return loss + 0.5 * float(away_M @ pull_M), slope_M / scale_M + pull_M

        found = minimize(
            objective,
            (equal_M if start_M is None else start_M) * scale_M,
            method="L-BFGS-B",
            jac=True,
            bounds=[(0.0, None)] * len(equal_M),
            options=_OPTIONS,
        )
        weights_M: FloatArray = found.x / scale_M
        return weights_M

    @cached_property
    def _centred(self) -> FloatArray:
        """(M, V, K) logits less their mean over the classes: the same softmax, no large numbers."""
        centred: FloatArray = self.logits_MVK - self.logits_MVK.mean(axis=2, keepdims=True)
        return centred

    @cached_property
    def _spread(self) -> FloatArray:
        """(M,) mean variance of a video's logits: the curvature of the loss where scores are even."""
        spread: FloatArray = np.square(self._centred).mean(axis=(1, 2))
        return spread

    def _loss(self, weight_M: FloatArray) -> tuple[float, FloatArray]:
        """Mean log-loss and its gradient."""
        fused_VK = np.tensordot(weight_M, self._centred, axes=1)
        power_VK = np.exp(fused_VK - fused_VK.max(axis=1, keepdims=True))
        share_VK = power_VK / power_VK.sum(axis=1, keepdims=True)
        slope_M = np.tensordot(self._centred, share_VK - self.target_VK, axes=2)
        loss = video_losses(fused_VK, self.target_VK).mean()
        return float(loss), slope_M / len(fused_VK)
