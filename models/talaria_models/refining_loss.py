"""The loss of a cascade of refining stages, normalised by counts of the global batch.

How many segments of stage k + 1 are positive is known only after the forward pass, so `counts` takes the
outputs as well: sum it over all micro-batches and workers of a global batch (a forward pass without gradients
gives the outputs; dropout has to repeat), then take the losses. They do not depend on how the batch is cut.

Qing et al. 2021, arXiv 2103.13141, "Training of TCANet", as the published code computes it. Differs in: the
middle and low tIoU segments that the published code draws at random carry their chance of being drawn as
their weight instead, and targets are constants (the published code differentiates through those of later
stages, too).

Letters: B batch, P segments of a stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from talaria_models.base import guarded
from talaria_models.offsets import ENCODERS
from talaria_models.refining import RefinedStage, RefinerOutput

LOW_TIOU = 0.3
COUNTS_PER_STAGE = 4


def matched_tiou(segments: Tensor, truths: Tensor, guard_frac: float) -> Tensor:
    """tIoU of every segment with the truth of its row.

    Args:
        segments: (..., 2); one whose boundaries crossed overlaps nothing.
        truths: (..., 2), start <= end.
        guard_frac: added to the union, as published.

    Returns:
        (...) in [0, 1].
    """
    shared = torch.minimum(segments[..., 1], truths[..., 1]) - torch.maximum(segments[..., 0], truths[..., 0])
    shared = shared.clamp_min(0.0)
    lengths = segments[..., 1] - segments[..., 0] + truths[..., 1] - truths[..., 0]
    return shared / (lengths - shared + guard_frac).clamp_min(guard_frac)


def tiou_bands(tiou_BP: Tensor, valid_BP: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Masks of high (above the stage's threshold), middle (above 0.3) and low tIoU; padding is in none."""
    high = valid_BP & (tiou_BP > threshold)
    middle = valid_BP & (tiou_BP > LOW_TIOU) & (tiou_BP <= threshold)
    return high, middle, valid_BP & (tiou_BP <= LOW_TIOU)


def stage_counts(tiou_BP: Tensor, valid_BP: Tensor, threshold: float) -> Tensor:
    """(4,) float: segments to regress (at the threshold or above), and those of high, middle and low tIoU."""
    bands = tiou_bands(tiou_BP, valid_BP, threshold)
    positive = valid_BP & (tiou_BP >= threshold)
    return torch.stack([positive.sum(), *[band.sum() for band in bands]]).float()


def expected_weights(
    tiou_BP: Tensor, valid_BP: Tensor, threshold: float, counts: Tensor
) -> tuple[Tensor, Tensor]:
    """Expected weight of each segment when middle and low ones are drawn to match the number of high ones.

    Args:
        tiou_BP, valid_BP: of one stage.
        threshold: of that stage.
        counts: (4,) global sums of `stage_counts`.

    Returns:
        (B, P) weights in [0, 1] and their global sum, a scalar; all zero without high ones.
    """
    _, num_high, num_middle, num_low = counts
    high, middle, low = tiou_bands(tiou_BP, valid_BP, threshold)
    drawn_middle, drawn_low = torch.minimum(num_middle, num_high), torch.minimum(num_low, num_high)
    weights = high + middle * (drawn_middle / guarded(num_middle)) + low * (drawn_low / guarded(num_low))
    return weights, num_high + drawn_middle + drawn_low


def drawn_weights(
    tiou_BP: Tensor, valid_BP: Tensor, threshold: float, middle_uniform_BP: Tensor, low_uniform_BP: Tensor
) -> Tensor:
    """The published random weights, 0 or 1, from given draws; training uses `expected_weights`.

    Args:
        tiou_BP, valid_BP: of one stage and the whole batch.
        threshold: of that stage.
        middle_uniform_BP, low_uniform_BP: draws from [0, 1).
    """
    high, middle, low = tiou_bands(tiou_BP, valid_BP, threshold)
    weights = high.float()
    for band, uniform in ((middle, middle_uniform_BP), (low, low_uniform_BP)):
        share = torch.clamp(high.sum() / guarded(band.sum()), max=1.0)
        weights = weights + (band * uniform > 1.0 - share).float()
    return weights


def tiou_loss(logits_BP: Tensor, tiou_BP: Tensor, weights_BP: Tensor, total_weight: Tensor) -> Tensor:
    """Weighted mean of the smooth L1 distance between the predicted tIoU and the true one.

    Args:
        logits_BP, tiou_BP: prediction and target.
        weights_BP: expected or drawn.
        total_weight: sum of the weights over the global batch; zero gives a loss of zero.
    """
    distance_BP = F.smooth_l1_loss(torch.sigmoid(logits_BP.float()), tiou_BP, reduction="none")
    return (weights_BP * distance_BP).sum() / guarded(total_weight)


def regression_loss(offsets_BP2: Tensor, wanted_BP2: Tensor, positive_BP: Tensor, count: Tensor) -> Tensor:
    """Smooth L1 distance of both offsets, summed, over the segments that are regressed.

    Args:
        offsets_BP2, wanted_BP2: raw regressions and what they should have been.
        positive_BP: bool, segments at the stage's threshold or above.
        count: their number over the global batch; zero gives a loss of zero.
    """
    # Of the others, the target may be huge: they aim at themselves, which costs nothing.
    wanted_BP2 = torch.where(positive_BP[..., None], wanted_BP2, offsets_BP2.detach().float())
    distance = F.smooth_l1_loss(offsets_BP2.float(), wanted_BP2, reduction="none")
    return distance.sum() / guarded(count)


class RefiningCriterion:
    """Sum over stages of the regression loss of every code and the balanced tIoU loss."""

    def __init__(
        self,
        thresholds: Sequence[float],
        *,
        regression_weight: float = 1.0,
        score_weight: float = 1.0,
        guard_frac: float = 1e-7,
    ) -> None:
        """Settings of the loss.

        Args:
            thresholds: tIoU from which a stage regresses a segment, one a stage.
            regression_weight, score_weight: factors in the total.
            guard_frac: shortest length and smallest union, as a fraction of the video. The authors use 1e-5
                seconds, which is 1e-7 of a video of 100 s; mmaction2 uses 1e-5 of the video.
        """
        self.thresholds = tuple(thresholds)
        self.regression_weight, self.score_weight = regression_weight, score_weight
        self.guard_frac = guard_frac
        self.num_counts = COUNTS_PER_STAGE * len(self.thresholds)
        names = [
            f"{term}_{stage}" for stage in range(1, len(thresholds) + 1) for term in ("regression", "score")
        ]
        self.loss_names = ("total", *names)

    def counts(self, targets: Mapping[str, Tensor], outputs: RefinerOutput) -> Tensor:
        """Sums over one micro-batch, (4 * stages,) float: `stage_counts` of every stage in turn."""
        stages = zip(outputs.stages, self.thresholds, strict=True)
        return torch.cat(
            [stage_counts(self._tiou(stage, targets), stage.valid_BP, limit) for stage, limit in stages]
        )

    def __call__(
        self, outputs: RefinerOutput, targets: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Tensor]:
        """Losses `regression_k` and `score_k` of stages 1 to the last (unweighted), and `total`.

        Args:
            outputs: of one micro-batch.
            targets: stacked output of `build_targets`.
            counts: global sums of `counts`. A stage without positives has losses of zero.

        Returns:
            Scalars in float32; over the micro-batches of a global batch they add up to its loss.
        """
        losses: dict[str, Tensor] = {}
        total = outputs.stages[0].score_logits_BP.new_zeros((), dtype=torch.float32)
        stages = zip(outputs.stages, self.thresholds, counts.view(-1, COUNTS_PER_STAGE), strict=True)
        for number, (stage, limit, stage_sums) in enumerate(stages, start=1):
            tiou_BP = self._tiou(stage, targets)
            weights_BP, total_weight = expected_weights(tiou_BP, stage.valid_BP, limit, stage_sums)
            score = tiou_loss(stage.score_logits_BP, tiou_BP, weights_BP, total_weight)
            regression = self.stage_regression(stage, targets, limit, stage_sums[0])
            total = total + self.regression_weight * regression + self.score_weight * score
            losses |= {f"regression_{number}": regression, f"score_{number}": score}
        return {"total": total, **losses}

    def stage_regression(
        self, stage: RefinedStage, targets: Mapping[str, Tensor], threshold: float, count: Tensor
    ) -> Tensor:
        """Regression loss of one stage, summed over its codes; `count` as in `regression_loss`."""
        truth_BP2 = truths_of(stage, targets)
        positive_BP = stage.valid_BP & (self._tiou(stage, targets) >= threshold)
        terms = [
            regression_loss(
                offsets, ENCODERS[code](stage.inputs_BP2, truth_BP2, self.guard_frac), positive_BP, count
            )
            for code, offsets in stage.regressions.items()
        ]
        return torch.stack(terms).sum()

    def _tiou(self, stage: RefinedStage, targets: Mapping[str, Tensor]) -> Tensor:
        return matched_tiou(stage.inputs_BP2, truths_of(stage, targets), self.guard_frac)


def truths_of(stage: RefinedStage, targets: Mapping[str, Tensor]) -> Tensor:
    """(B, P, 2) truth of every segment of a stage: copies of a proposal keep its truth."""
    copies = stage.inputs_BP2.shape[1] // max(targets["truth"].shape[1], 1)
    return targets["truth"].repeat(1, copies, 1)
