"""The loss of TCANet: `refining_loss.py` with the settings of its config."""

from __future__ import annotations

from talaria_models.refining_loss import RefiningCriterion
from talaria_models.tcanet.config import TCANetConfig


class TCANetCriterion(RefiningCriterion):
    """Regression and tIoU losses of every regressor."""

    def __init__(self, config: TCANetConfig) -> None:
        super().__init__(
            config.thresholds,
            regression_weight=config.regression_weight,
            score_weight=config.score_weight,
            guard_frac=config.guard_frac,
        )
