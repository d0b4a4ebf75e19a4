"""Proposals for refiners: those of one generator, or of several fused with equal weights, after Soft-NMS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talaria.config.postprocess import PostprocessConfig
from talaria.ensemble.fusion import fuse
from talaria.ensemble.weights import equal_weights
from talaria.prediction.belief import Belief
from talaria.prediction.stores import RawStore
from talaria.prediction.suppressing import suppress
from talaria.store.proposal_store import VideoProposals, write_proposals


@dataclass(frozen=True)
class ProposalPlan:
    """What makes one set of proposals; a `ShardPlan` of `talaria.prediction.predict`.

    Attributes:
        out: absolute folder of the artifact.
        sources: for each generator the absolute folders of its raw predictions; a video is in one of them.
        config: how segments are scored and thinned out; what it says of classes does not matter here.
        video_ids: videos to work on, in a fixed order.
    """

    out: str
    sources: tuple[tuple[str, ...], ...]
    config: PostprocessConfig
    video_ids: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The folder of shards."""
        return Path(self.out) / "proposals"

    def load(self) -> Callable[[str], VideoProposals]:
        """The generators' predictions."""
        generators = [
            {video_id: store for store in map(RawStore, folders) for video_id in store.video_ids}
            for folders in self.sources
        ]
        return lambda video_id: proposed(
            [found[video_id].read(video_id) for found in generators], self.config
        )

    def write(self, path: Path, rows: list[VideoProposals]) -> None:
        """One shard of proposals."""
        write_proposals(path, rows)


def proposed(beliefs: Sequence[Belief], config: PostprocessConfig) -> VideoProposals:
    """The best `config.detections_per_video` segments of one video.

    Args:
        beliefs: of each generator; they are fused with equal weights.
        config: powers, limits and counts.

    Source: 2020 winners' report (arXiv 2006.07520), sections 1.3 and 2.3.
    """
    fused = fuse(beliefs, equal_weights(len(beliefs)))
    segments_frac, scores, _ = fused.candidates(config)
    kept = suppress(segments_frac, scores, config)
    return VideoProposals(
        fused.video_id,
        fused.duration_s,
        segments_frac[kept.index].astype(np.float32),
        np.minimum(kept.score, 1.0).astype(np.float32),
    )
