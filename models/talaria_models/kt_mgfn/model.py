"""KT-MGFN: Transferable Knowledge-Based Multi-Granularity Aggregation Network, weakly supervised track.

Su, Zhuang, Li, Wang, Gan, Wu, Qiao: submission to ActivityNet Challenge 2021, arXiv 2107.12618, section 3,
after Su et al., IEEE Transactions on Multimedia 2020. Learns where actions are from the classes of whole
videos. No code was published; what the report leaves open is decided in README.md of this folder.

Letters: B batch, C channels, T snippets, H hidden channels, K classes, G classifiers, A regressed segments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talaria_models.kt_mgfn.config import KTMGFNConfig
from talaria_models.kt_mgfn.oic import normalised
from talaria_models.kt_mgfn.regressor import BoundaryRegressor
from talaria_models.layers.masking import masked


@dataclass(frozen=True)
class KTMGFNOutput:
    """What the network says of one batch.

    Attributes:
        logits_BGK: of every classifier for the whole video; those of the first stage stand first.
        pooled_BGH: what each classifier sees, the mean of its features over the snippets.
        class_logits_BK: mean of the first stage's logits, which sees the whole video.
        cas_BKT: the cascaded class activation sequence, zero outside the video; any range.
        erased_BT: bool, the snippets that the second stage did not see.
        valid_BT: bool, the snippets inside the video.
        segments_BA2: regressed boundaries in snippets, A = T * M, not cut to the video; None without BRM.
    """

    logits_BGK: Tensor
    pooled_BGH: Tensor
    class_logits_BK: Tensor
    cas_BKT: Tensor
    erased_BT: Tensor
    valid_BT: Tensor
    segments_BA2: Tensor | None


@dataclass(frozen=True)
class StageOutput:
    """What one stage says; the attributes are parts of those of `KTMGFNOutput`."""

    logits_BGK: Tensor
    pooled_BGH: Tensor
    cas_BKT: Tensor


class Branch(nn.Module):
    """A convolution, mean over the snippets, a classifier; its weights on the snippets are the activation."""

    def __init__(self, config: KTMGFNConfig, dilation: int, num_classes: int) -> None:
        super().__init__()
        reach = dilation * (config.kernel_size // 2)
        width = config.hidden_dim
        self.conv = nn.Conv1d(width, width, config.kernel_size, padding=reach, dilation=dilation)
        self.dropout = nn.Dropout(config.dropout)
        self.score = nn.Linear(width, num_classes)

    def forward(self, hidden_BHT: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, K), pooled features (B, H), and the class activation sequence (B, K, T)."""
        snippets_BHT = masked(F.relu(self.conv(hidden_BHT)), mask_BT)
        pooled_BH = snippets_BHT.sum(dim=2) / mask_BT.sum(dim=1, keepdim=True).clamp_min(1)
        return self.score(self.dropout(pooled_BH)), pooled_BH, torch.matmul(self.score.weight, snippets_BHT)


class Stage(nn.Module):
    """Base net and branches: the multi-dilated convolution module."""

    def __init__(self, config: KTMGFNConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        width, size = config.hidden_dim, config.kernel_size
        self.conv1 = nn.Conv1d(in_channels, width, size, padding=size // 2)
        self.conv2 = nn.Conv1d(width, width, size, padding=size // 2)
        dilations = config.dilations[: config.num_branches]
        self.branches = nn.ModuleList(Branch(config, dilation, num_classes) for dilation in dilations)

    def forward(self, features_BCT: Tensor, mask_BT: Tensor) -> StageOutput:
        """`features_BCT` are zero outside the video and where erased."""
        hidden_BHT = masked(F.relu(self.conv1(features_BCT)), mask_BT)
        hidden_BHT = masked(F.relu(self.conv2(hidden_BHT)), mask_BT)
        parts = [branch(hidden_BHT, mask_BT) for branch in self.branches]
        logits, pooled, sequences = zip(*parts, strict=True)
        cas_BKT = sequences[0]
        if len(sequences) > 1:
            cas_BKT = cas_BKT + torch.stack(sequences[1:]).mean(dim=0)
        return StageOutput(torch.stack(logits, dim=1), torch.stack(pooled, dim=1), cas_BKT)


class KTMGFN(nn.Module):
    """Classifies whole videos, and shows where the evidence lies."""

    def __init__(self, config: KTMGFNConfig, in_channels: int, num_classes: int) -> None:
        """Build and initialise.

        Args:
            config: sizes and switches.
            in_channels: C of the features.
            num_classes: K, without background.
        """
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(in_channels)
        self.first = Stage(config, in_channels, num_classes)
        self.second = Stage(config, in_channels, num_classes) if config.cascaded else None
        self.regressor = BoundaryRegressor(config, in_channels) if config.regression else None
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight but the regressor's, which sets its own.

        norm: weight 1, bias 0. Conv1d: Kaiming normal (fan in, ReLU), bias 0. Linear: Glorot normal, bias 0.
        """
        self.norm.reset_parameters()
        for stage in (self.first, self.second):
            for module in [] if stage is None else stage.modules():
                if isinstance(module, nn.Conv1d):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                    nn.init.zeros_(module.bias)  # type: ignore[arg-type]
                elif isinstance(module, nn.Linear):
                    nn.init.xavier_normal_(module.weight)
                    nn.init.zeros_(module.bias)

    def forward(
        self, features_BCT: Tensor, mask_BT: Tensor | None = None, labels_BK: Tensor | None = None
    ) -> KTMGFNOutput:
        """Classify, localise and regress.

        Args:
            features_BCT: (B, C, T) for any T.
            mask_BT: (B, T) bool, true for the first snippets of each video up to its length; None when all
                videos have T. Snippets beyond change nothing.
            labels_BK: (B, K), above 0 for the classes of each video, in training: their evidence is erased
                for the second stage. None takes those that the first stage predicts.
        """
        num_videos, _, num_snippets = features_BCT.shape
        valid_BT = mask_BT
        if valid_BT is None:
            valid_BT = features_BCT.new_ones(num_videos, num_snippets, dtype=torch.bool)
        features_BCT = self.norm(features_BCT.transpose(1, 2)).transpose(1, 2)
        features_BCT = masked(features_BCT, valid_BT)
        first = self.first(features_BCT, valid_BT)
        class_logits_BK = first.logits_BGK.mean(dim=1)
        stages, erased_BT = [first], torch.zeros_like(valid_BT)
        if self.second is not None:
            wanted_BK = self._predicted(class_logits_BK) if labels_BK is None else labels_BK > 0
            erased_BT = self._found(first.cas_BKT, valid_BT, wanted_BK)
            stages.append(self.second(masked(features_BCT, ~erased_BT), valid_BT))
        return KTMGFNOutput(
            logits_BGK=torch.cat([stage.logits_BGK for stage in stages], dim=1),
            pooled_BGH=torch.cat([stage.pooled_BGH for stage in stages], dim=1),
            class_logits_BK=class_logits_BK,
            cas_BKT=torch.stack([stage.cas_BKT for stage in stages]).amax(dim=0),
            erased_BT=erased_BT,
            valid_BT=valid_BT,
            segments_BA2=None if self.regressor is None else self.regressor(features_BCT, valid_BT),
        )

    def start_from(self, trimmed: Mapping[str, Tensor]) -> None:
        """Take over all weights of the trained trimmed branch; the regressor keeps its own.

        Args:
            trimmed: `state_dict` of a network of `trimmed_branch(config)`, with as many channels and
                classes.

        Raises:
            ValueError: the weights are those of another network.
        """
        own = {name: value.shape for name, value in self.state_dict().items() if "regressor" not in name}
        given = {name: value.shape for name, value in trimmed.items()}
        wrong = sorted({name for name, _ in own.items() ^ given.items()})
        if wrong:
            raise ValueError(f"trimmed: weights that differ in name or shape: {', '.join(wrong[:6])}")
        self.load_state_dict(trimmed, strict=False)

    def _found(self, cas_BKT: Tensor, valid_BT: Tensor, wanted_BK: Tensor) -> Tensor:
        """(B, T) bool: snippets where the activation of a wanted class exceeds the threshold."""
        activation_BKT = normalised(cas_BKT.detach(), valid_BT)
        return ((activation_BKT > self.config.erase_threshold) & wanted_BK[:, :, None]).any(dim=1)

    def _predicted(self, class_logits_BK: Tensor) -> Tensor:
        return predicted_classes(torch.sigmoid(class_logits_BK.float()), self.config.class_threshold)


def predicted_classes(probability_BK: Tensor, threshold: float) -> Tensor:
    """(B, K) bool: classes of at least this probability, and the most probable ones of each video."""
    return (probability_BK >= threshold) | (probability_BK == probability_BK.amax(dim=1, keepdim=True))
