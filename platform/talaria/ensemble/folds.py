"""Videos dealt into folds, and the rule that nothing is judged on what it was fitted on."""

from __future__ import annotations

from collections.abc import Collection

from talaria.errors import ConfigError
from talaria.seeds import content_seed


def folds_of(video_ids: Collection[str], folds: int) -> tuple[tuple[str, ...], ...]:
    """Videos dealt into folds by the hash of their ids; sizes differ by one at most.

    Raises:
        ConfigError: fewer videos than folds.
    """
    if len(video_ids) < folds:
        raise ConfigError(
            f"ensemble.folds: found {folds} for {len(video_ids)} videos, expected no more than videos"
        )
    order = sorted(video_ids, key=lambda video_id: (content_seed("fold", video_id), video_id))
    return tuple(tuple(sorted(order[index::folds])) for index in range(folds))


def refuse_overlap(fitted_on: Collection[str], judged: Collection[str]) -> None:
    """Stop where a video would be both fitted on and judged.

    Raises:
        ConfigError: naming how many there are and what to set.
    """
    shared = sorted(set(fitted_on) & set(judged))
    if shared:
        raise ConfigError(
            f"ensemble: {len(shared)} videos are both fitted on and judged, the first is {shared[0]}; set "
            "data.fit_subset and data.judge_subset to subsets without common videos, or to the same one for "
            "cross-fitting"
        )
