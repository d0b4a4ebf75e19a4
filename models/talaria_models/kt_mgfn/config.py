"""Settings of the transferable-knowledge Multi-Granularity Fusion Network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class KTMGFNConfig:
    """Sizes, switches and thresholds; each step of the report's table 2 can be left out.

    The report states the blocks, their order and the regressor's sizes; the rest is explained in README.md.

    Raises:
        ValueError: a field outside its range; the message names the field.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: Literal["kt_mgfn"] = "kt_mgfn"
    num_snippets: int = 100
    """Snippets T of the grid that the features of a video are rescaled to."""
    hidden_dim: int = 256
    """Channels of the base net and of every branch."""
    kernel_size: int = 3
    """Kernel of all temporal convolutions; odd."""
    dilations: tuple[int, ...] = (1, 2, 3, 5)
    """Dilation of each branch; the first makes the sequence H0, the others' mean is added to it."""
    dropout: float = 0.2
    """Share of pooled channels dropped before the classifiers in training, in [0, 1)."""
    dilated: bool = True
    """MDCM: all branches; without it the first alone."""
    cascaded: bool = True
    """CCM: a second stage on features without the snippets that the first one found."""
    erase_threshold: float = 0.6
    """Activation above which a snippet is erased for the second stage, in (0, 1): 1 is the largest of a class
    in the video."""
    class_threshold: float = 0.5
    """Probability from which a class erases where labels are not given; the most probable one always does."""
    found_threshold: float = 0.05
    """Probability from which segments of a class are found; those of the most probable one always are."""
    transfer: bool = True
    """KTM: pull pooled features to those of trimmed clips of the same classes."""
    mmd_widths: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    """Widths of the Gaussian kernels, in mean squared distances of the compared features."""
    mmd_weight: float = 0.1
    """Weight of the transfer loss."""
    trimmed_clips: int = 16
    """Trimmed clips R of a video's classes that it is compared with in a step, drawn anew each time."""
    trimmed_snippets: int = 8
    """Snippets that the features of a trimmed clip are rescaled to: it is a short part of the grid."""
    regression: bool = True
    """BRM: regress boundaries from anchors; without it thresholds on the activation cut the segments."""
    regressor_dim: int = 128
    """Channels of the regressor's three convolutions."""
    anchor_lengths: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    """Lengths of the anchors around every snippet, in snippets of the grid."""
    inflation: float = 0.25
    """Width of the outer area on either side, as a share of the inner length; at least one snippet."""
    oic_weight: float = 1.0
    """Weight of the Outer-Inner-Contrastive loss."""
    keep_activation: float = 0.1
    """Activation that a snippet exceeds for its best anchor to be used, in [0, 1)."""
    keep_contrast: float = 0.3
    """Inner minus outer activation that a segment exceeds to be learned from, in [-1, 1)."""
    thresholds: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    """Activations that cut segments without `regression`, each in (0, 1)."""
    run_score: Literal["mean", "contrast"] = "mean"
    """Score of those segments: mean activation inside, or that minus the activation around it."""

    def __post_init__(self) -> None:
        for field in ("num_snippets", "hidden_dim", "regressor_dim", "trimmed_clips", "trimmed_snippets"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected at least 1")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size: found {self.kernel_size}, expected an odd number of at least 1")
        needed = 2 if self.dilated else 1
        if len(self.dilations) < needed or min(self.dilations) < 1:
            raise ValueError(
                f"dilations: found {list(self.dilations)}, expected at least {needed}, none below 1"
            )
        self._check_shares()
        for field in ("mmd_weight", "oic_weight"):
            if not 0.0 <= getattr(self, field) < math.inf:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected a finite number from 0")
        for field in ("mmd_widths", "anchor_lengths"):
            values = getattr(self, field)
            if not values or not all(0.0 < value < math.inf for value in values):
                raise ValueError(f"{field}: found {list(values)}, expected finite numbers above 0")

    def _check_shares(self) -> None:
        """Numbers that are shares of one."""
        for field in ("dropout", "keep_activation"):
            if not 0.0 <= getattr(self, field) < 1.0:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected 0 <= {field} < 1")
        for field in ("erase_threshold", "class_threshold", "found_threshold"):
            if not 0.0 < getattr(self, field) < 1.0:
                raise ValueError(f"{field}: found {getattr(self, field)}, expected 0 < {field} < 1")
        if not -1.0 <= self.keep_contrast < 1.0:
            raise ValueError(f"keep_contrast: found {self.keep_contrast}, expected -1 <= keep_contrast < 1")
        if not self.thresholds or not all(0.0 < threshold < 1.0 for threshold in self.thresholds):
            raise ValueError(
                f"thresholds: found {list(self.thresholds)}, expected numbers between 0 and 1, at least one"
            )
        if self.run_score not in ("mean", "contrast"):
            raise ValueError(f"run_score: found {self.run_score!r}, expected mean or contrast")
        if not 0.0 < self.inflation < math.inf:
            raise ValueError(f"inflation: found {self.inflation}, expected a finite number above 0")

    @property
    def num_branches(self) -> int:
        """Classifiers of one stage."""
        return len(self.dilations) if self.dilated else 1

    @property
    def num_classifiers(self) -> int:
        """G, classifiers of all stages."""
        return self.num_branches * (2 if self.cascaded else 1)


def trimmed_branch(config: KTMGFNConfig) -> KTMGFNConfig:
    """The network that learns from trimmed clips: the same but for transfer and boundaries (section 3.2)."""
    return replace(config, transfer=False, regression=False)
