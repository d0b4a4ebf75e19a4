"""From BMN's logits to stored probabilities, and from stored probabilities to scored segments.

The two steps are apart because raw predictions are kept: fusion happens between them.

Letters: B batch, T snippets, D durations, M map channels (0 regression, 1 classification), P proposals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from talaria_models.bmn.criterion import inside_map
from talaria_models.bmn.model import BMNOutput

PEAK_SHARE = 0.5
"""A boundary also counts as a peak above this share of the video's highest probability."""


@dataclass(frozen=True)
class RawMaps:
    """Probabilities of one batch, float32 on the model's device.

    Attributes:
        start_BT, end_BT: startness and endness; zero at masked snippets.
        bm_map_BMDT: confidence of segment [t, t + d + 1); zero where it leaves the video.
    """

    start_BT: Tensor
    end_BT: Tensor
    bm_map_BMDT: Tensor


def probabilities(output: BMNOutput, mask_BT: Tensor | None = None) -> RawMaps:
    """The probabilities behind one batch of logits.

    Args:
        output: what the model returned.
        mask_BT: the mask that the model was given; None when every video fills the grid.
    """
    valid_BT = torch.ones_like(output.start_logits_BT, dtype=torch.bool) if mask_BT is None else mask_BT
    return RawMaps(
        start_BT=torch.sigmoid(output.start_logits_BT.float()) * valid_BT,
        end_BT=torch.sigmoid(output.end_logits_BT.float()) * valid_BT,
        bm_map_BMDT=torch.sigmoid(output.map_logits_BMDT.float()) * inside_map(valid_BT)[:, None],
    )


def proposals(
    start_T: npt.NDArray[np.floating],
    end_T: npt.NDArray[np.floating],
    bm_map_MDT: npt.NDArray[np.floating],
    *,
    map_classification_power: float,
    map_regression_power: float,
    boundary_power: float,
    top: int,
    peaks: bool = False,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Score every segment inside one video and keep the best.

    The score is classification^a * regression^b * (startness * endness)^c. All powers 1 is the published
    product; boundary_power 0 is the 2021 HACS winners' scoring by the map alone.

    Args:
        start_T, end_T: (T,) probabilities.
        bm_map_MDT: (2, D, T) probabilities, D = T.
        map_classification_power, map_regression_power, boundary_power: exponents a, b, c of at least 0.
        top: how many segments to keep at most.
        peaks: only segments between boundary peaks, as mmaction2 and the paper do: local maxima, values
            above half the maximum, the first snippet as a start and the last as an end.

    Returns:
        (P, 2) segments as fractions of the grid and (P,) scores, best first; equal scores keep the order of
        duration, then start.

    Raises:
        ValueError: shapes that do not belong together.
    """
    size = len(start_T)
    if end_T.shape != (size,) or bm_map_MDT.shape != (2, size, size):
        raise ValueError(f"maps disagree: start {start_T.shape}, end {end_T.shape}, map {bm_map_MDT.shape}")
    snippet = np.arange(size)
    inside_DT = snippet[:, None] + snippet[None, :] < size
    duration_P, begin_P = np.nonzero(inside_DT)
    finish_P = end_snippet(duration_P, begin_P, size)
    if peaks:
        kept = _peaks(start_T, edge=0)[begin_P] & _peaks(end_T, edge=size - 1)[finish_P]
        duration_P, begin_P, finish_P = duration_P[kept], begin_P[kept], finish_P[kept]
    score_P = segment_scores(
        np.stack([start_T[begin_P], end_T[finish_P], *bm_map_MDT[:, duration_P, begin_P]]),
        map_classification_power=map_classification_power,
        map_regression_power=map_regression_power,
        boundary_power=boundary_power,
    )
    best = np.argsort(-score_P, kind="stable")[:top]
    segments_P2 = np.stack([begin_P, begin_P + duration_P + 1], axis=1)[best] / size
    return segments_P2, score_P[best]


def segment_scores(
    beliefs_4P: npt.NDArray[np.floating],
    *,
    map_classification_power: float,
    map_regression_power: float,
    boundary_power: float,
) -> npt.NDArray[np.float64]:
    """The score of segments by what is believed of each.

    Args:
        beliefs_4P: (4, P) in [0, 1]: startness, endness, regression, classification.
        map_classification_power, map_regression_power, boundary_power: exponents as of `proposals`.

    Returns:
        (P,) in [0, 1].
    """
    start_P, end_P, regression_P, classification_P = beliefs_4P.astype(np.float64)
    score_P: npt.NDArray[np.float64] = (
        classification_P**map_classification_power * regression_P**map_regression_power
    )
    score_P *= (start_P * end_P) ** boundary_power
    return score_P


def end_snippet(
    duration_P: npt.NDArray[np.int64], begin_P: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.int64]:
    """The snippet whose endness speaks of the end of segment [t, t + d + 1), its left edge.

    A segment that lasts to the end of the video takes the last snippet, where the training target of such an
    end is one. (Published code drops these.)
    """
    finish_P: npt.NDArray[np.int64] = np.minimum(begin_P + duration_P + 1, size - 1)
    return finish_P


def _peaks(scores_T: npt.NDArray[np.floating], *, edge: int) -> npt.NDArray[np.bool_]:
    """(T,) bool: boundaries worth combining; the snippet `edge` always is."""
    peak_T: npt.NDArray[np.bool_] = scores_T > PEAK_SHARE * scores_T.max()
    middle = scores_T[1:-1]
    peak_T[1:-1] |= (middle > scores_T[:-2]) & (middle > scores_T[2:])
    peak_T[edge] = True
    return peak_T
