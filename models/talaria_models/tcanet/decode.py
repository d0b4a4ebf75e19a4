"""From TCANet's output to stored stages, and from stored stages to scored segments of one video.

The two steps are apart because raw predictions are kept: fusion happens between them.

Letters: K stages, B batch, P proposals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from talaria_models.refining import RefinerOutput


@dataclass(frozen=True)
class RawStages:
    """Refined segments of one batch, float32 on the model's device.

    Attributes:
        segments_BKP2: fractions of the video, within [0, 1]; zero at padding.
        tiou_BKP: predicted overlap with a true segment; zero at padding.
    """

    segments_BKP2: Tensor
    tiou_BKP: Tensor


def probabilities(output: RefinerOutput) -> RawStages:
    """The segments and probabilities behind one batch; the model was in evaluation mode."""
    segments = [
        stage.segments_BP2.float().clamp(0.0, 1.0) * stage.valid_BP[..., None] for stage in output.stages
    ]
    tiou = [torch.sigmoid(stage.score_logits_BP.float()) * stage.valid_BP for stage in output.stages]
    return RawStages(torch.stack(segments, dim=1), torch.stack(tiou, dim=1))


def proposals(
    segments_KP2: npt.NDArray[np.floating],
    tiou_KP: npt.NDArray[np.floating],
    scores_P: npt.NDArray[np.floating],
    *,
    tiou_power: float = 1.0,
    score_power: float = 1.0,
    last_stage_only: bool = False,
    top: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Scored segments of one video: tIoU^a * proposal score^b, best first.

    Args:
        segments_KP2, tiou_KP: of one video, as `RawStages` holds them, without padding.
        scores_P: what the proposals were scored before refinement.
        tiou_power, score_power: exponents a and b of at least 0.
        last_stage_only: only the last stage's segments; else those of all stages compete, as published.
        top: how many segments to keep at most.

    Returns:
        (N, 2) segments as fractions of the video and (N,) scores. Segments without length are left out. Equal
        scores keep the order of stage, then proposal.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if segments_KP2.shape != (*tiou_KP.shape, 2) or scores_P.shape != tiou_KP.shape[1:]:
        shapes = f"segments {segments_KP2.shape}, tiou {tiou_KP.shape}, scores {scores_P.shape}"
        raise ValueError(f"stages disagree: {shapes}")
    first = len(tiou_KP) - 1 if last_stage_only else 0
    segments_N2 = segments_KP2[first:].astype(np.float64).reshape(-1, 2)
    score_KP = tiou_KP[first:].astype(np.float64) ** tiou_power * scores_P.astype(np.float64) ** score_power
    score_N = score_KP.reshape(-1)
    kept = segments_N2[:, 1] > segments_N2[:, 0]
    segments_N2, score_N = segments_N2[kept], score_N[kept]
    best = np.argsort(-score_N, kind="stable")[:top]
    return segments_N2[best], score_N[best]
