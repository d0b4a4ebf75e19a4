"""Video classifier: pooled snippet features, one hidden layer; before it, if wanted, a transformer.

Its class scores multiply the proposals' (Qing et al., Exploring Stronger Feature for Temporal Action
Localization, 2021, equation 1). That report fine-tunes the backbone for this; this head learns from stored
features, in seconds, from 20 to some thousand videos.

Letters: B batch, C channels, T snippets, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from talaria_models.classifier.config import ClassifierConfig
from talaria_models.classifier.encoder import SnippetEncoder


@dataclass(frozen=True)
class ClassifierOutput:
    """Class logits (B, K) of whole videos."""

    logits_BK: Tensor


class VideoClassifier(nn.Module):
    """Mean and maximum over the valid snippets, normalised, then a hidden layer.

    With `head: transformer` the snippets attend to each other first.
    """

    def __init__(self, config: ClassifierConfig, in_channels: int, num_classes: int) -> None:
        """Build and initialise.

        Args:
            config: sizes.
            in_channels: C of the features.
            num_classes: K.
        """
        super().__init__()
        self.encoder: SnippetEncoder | None = None
        pooled_channels = in_channels
        if config.head == "transformer":
            self.encoder, pooled_channels = SnippetEncoder(config, in_channels), config.hidden_dim
        self.norm = nn.LayerNorm(2 * pooled_channels)
        self.hidden = nn.Linear(2 * pooled_channels, config.hidden_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.score = nn.Linear(config.hidden_dim, num_classes)
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight but the encoder's, which sets its own.

        norm: weight 1, bias 0. hidden: Kaiming normal (fan in, ReLU), bias 0. score: normal with deviation
        0.01, bias 0, so that training starts from even class scores.
        """
        self.norm.reset_parameters()
        nn.init.kaiming_normal_(self.hidden.weight, nonlinearity="relu")
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.zeros_(self.hidden.bias)
        nn.init.zeros_(self.score.bias)

    def forward(self, features_BCT: Tensor, mask_BT: Tensor | None = None) -> ClassifierOutput:
        """Score every class.

        Args:
            features_BCT: (B, C, T), any T of at least 1.
            mask_BT: (B, T) bool, true at real snippets, at least one per video; None when all are.
        """
        if self.encoder is not None:
            features_BCT = self.encoder(features_BCT, mask_BT)
        if mask_BT is None:
            mean_BC, maximum_BC = features_BCT.mean(dim=2), features_BCT.amax(dim=2)
        else:
            absent_B1T = ~mask_BT[:, None, :]
            count_B1 = mask_BT.sum(dim=1, keepdim=True)
            mean_BC = features_BCT.masked_fill(absent_B1T, 0.0).sum(dim=2) / count_B1
            maximum_BC = features_BCT.masked_fill(absent_B1T, -torch.inf).amax(dim=2)
        pooled = self.dropout(self.norm(torch.cat([mean_BC, maximum_BC], dim=1)))
        return ClassifierOutput(self.score(self.dropout(torch.relu(self.hidden(pooled)))))
