"""The loss of KT-MGFN, normalised by the counts of the global batch. Report, sections 3.1 and 3.2.

Every term belongs to one video, so that the loss does not depend on how a global batch is cut.

Letters: B batch, K classes, G classifiers, N pairs of a video and one of its classes, T snippets.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from talaria_models.base import guarded
from talaria_models.kt_mgfn.config import KTMGFNConfig
from talaria_models.kt_mgfn.mmd import squared_mmd
from talaria_models.kt_mgfn.model import KTMGFNOutput
from talaria_models.kt_mgfn.oic import best_anchors, normalised


class KTMGFNCriterion:
    """Sigmoid cross-entropy of every classifier, transfer from trimmed clips, and the OIC loss."""

    num_counts: int = 3

    def __init__(self, config: KTMGFNConfig) -> None:
        """Keep the switches and weights."""
        self.config = config
        terms = {"transfer": config.transfer, "oic": config.regression}
        self.loss_names: tuple[str, ...] = (
            "total",
            "classification",
            *(name for name, wanted in terms.items() if wanted),
        )

    def counts(self, targets: Mapping[str, Tensor]) -> Tensor:
        """(3,) float: videos, those with a trimmed clip, and pairs of a video and one of its classes."""
        classes_BK = targets["classes"]
        with_clips = classes_BK.new_zeros(())
        if self.config.transfer and "trimmed_valid" in targets:
            with_clips = targets["trimmed_valid"].any(dim=1).sum()
        return torch.stack(
            [classes_BK.new_tensor(len(classes_BK)), with_clips, (classes_BK > 0).sum()]
        ).float()

    def __call__(
        self, outputs: KTMGFNOutput, targets: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Tensor]:
        """Unweighted losses that the config has switched on, and `total`, float32 scalars.

        Args:
            outputs: of one micro-batch, with the classes as labels.
            targets: `classes` (B, K); with transfer also `trimmed_features` (B, R, G, H) and `trimmed_valid`
                (B, R), which a batch without clips may lack.
            counts: global sums of `counts`; a term without samples is zero.
        """
        losses = {"classification": self._classification(outputs, targets["classes"]) / guarded(counts[0])}
        total = losses["classification"]
        if self.config.transfer:
            losses["transfer"] = self._transfer(outputs, targets) / guarded(counts[1])
            total = total + self.config.mmd_weight * losses["transfer"]
        if self.config.regression:
            losses["oic"] = self._oic(outputs, targets["classes"]) / guarded(counts[2])
            total = total + self.config.oic_weight * losses["oic"]
        return {"total": total, **losses}

    def _classification(self, outputs: KTMGFNOutput, classes_BK: Tensor) -> Tensor:
        """Summed over videos and classes, averaged over classifiers."""
        logits_BGK = outputs.logits_BGK.float()
        truth_BGK = classes_BK[:, None].expand_as(logits_BGK)
        loss_BGK = F.binary_cross_entropy_with_logits(logits_BGK, truth_BGK, reduction="none")
        return loss_BGK.sum(dim=2).mean(dim=1).sum()

    def _transfer(self, outputs: KTMGFNOutput, targets: Mapping[str, Tensor]) -> Tensor:
        """Discrepancy between a video's pooled features and those of its clips, averaged over classifiers."""
        if "trimmed_features" not in targets:
            return outputs.pooled_BGH.new_zeros((), dtype=torch.float32)
        clips_BGRH = targets["trimmed_features"].transpose(1, 2)
        valid_BGR = targets["trimmed_valid"][:, None].expand(clips_BGRH.shape[:3])
        mmd_BG = squared_mmd(outputs.pooled_BGH[:, :, None], clips_BGRH, self.config.mmd_widths, valid_BGR)
        return mmd_BG.mean(dim=1).sum()

    def _oic(self, outputs: KTMGFNOutput, classes_BK: Tensor) -> Tensor:
        """Outer minus inner activation of the segments worth keeping, averaged for each video and class.

        The activation is a constant: boundaries move to it, not the other way round, as in AutoLoc.
        """
        assert outputs.segments_BA2 is not None
        video_N, class_N = torch.nonzero(classes_BK > 0, as_tuple=True)
        activation_BKT = normalised(outputs.cas_BKT.detach(), outputs.valid_BT)
        activation_NT = activation_BKT[video_N, class_N]
        _, contrast_NT = best_anchors(activation_NT, outputs.segments_BA2[video_N], self.config.inflation)
        kept_NT = (activation_NT > self.config.keep_activation) & (contrast_NT > self.config.keep_contrast)
        loss_N = -(contrast_NT * kept_NT).sum(dim=1) / guarded(kept_NT.sum(dim=1))
        return loss_N.sum()
