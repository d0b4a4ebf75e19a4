"""A detector that starts from frames: from a video's stored frames to what it believes about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talaria.prediction.found import FoundPrediction
from talaria.prediction.members import MOST_SEGMENTS
from talaria.prediction.stores import RawMeta, write_raw
from talaria.store.checkpoint import load_model
from talaria.store.frame_store import FrameStore
from talaria.training.window_data import window_frames
from talaria_models.sp_tad.decode import found_segments, window_segments
from talaria_models.sp_tad.model import SPTAD
from talaria_models.sp_tad.windows import Window, sliding_windows

_WINDOWS_AT_ONCE = 4
Streams = Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class FrameMemberPlan:
    """What predicts for one member; a `ShardPlan`, all folders absolute.

    Attributes:
        meta: what is kept beside the predictions.
        out: folder of the artifact.
        detector: folder of the trained model.
        frames: folder of the frame store.
        video_ids: videos to predict, in a fixed order.
    """

    meta: RawMeta
    out: str
    detector: str
    frames: str
    video_ids: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The folder of shards."""
        return Path(self.out) / "raw"

    def load(self) -> Callable[[str], FoundPrediction]:
        """The model and the frames."""
        model, store = FrameModel(Path(self.detector)), FrameStore(Path(self.frames))
        return lambda video_id: model.predict(video_id, store)

    def write(self, path: Path, rows: list[FoundPrediction]) -> None:
        """One shard of raw predictions."""
        write_raw(path, rows, self.meta)


class FrameModel:
    """A trained detector, ready to predict."""

    def __init__(self, folder: Path) -> None:
        """Load it, onto this process's GPU if it has one.

        Raises:
            DataError: the model is missing or damaged.
        """
        model, _ = load_model(folder)
        assert isinstance(model, SPTAD)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = model.to(self._device)

    def predict(self, video_id: str, store: FrameStore) -> FoundPrediction:
        """Everything the member believes about one video of a store."""
        config = self._model.config
        streams: Streams = {str(name): store.read(video_id, name) for name in config.streams}
        return self.predict_frames(video_id, streams, store.decoded_s(video_id, config.streams[0]))

    @torch.inference_mode()
    def predict_frames(self, video_id: str, streams: Streams, duration_s: float) -> FoundPrediction:
        """The same from frames (F, H, W, C) of each stream at the model's rate and size."""
        config = self._model.config
        num_frames = len(streams[config.streams[0]])
        windows = sliding_windows(num_frames, config.window_frames, config.infer_stride)
        found, logits = [], []
        for begin in range(0, len(windows), _WINDOWS_AT_ONCE):
            batch = windows[begin : begin + _WINDOWS_AT_ONCE]
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
                output = self._model(
                    self._stacked(streams, "rgb", batch),
                    self._stacked(streams, "flow", batch),
                    torch.tensor([window.num_frames for window in batch], device=self._device),
                )
            found += window_segments(output)
            logits.append(output.clip_logits_BK.float().cpu().numpy())
        best = found_segments(
            windows, found, size=config.window_frames, num_frames=num_frames, top=MOST_SEGMENTS
        )
        return FoundPrediction(
            video_id=video_id,
            duration_s=duration_s,
            segments_P2=best.segments_P2,
            scores_P=best.scores_P,
            class_scores_PK=best.class_scores_PK,
            class_logits_RK=np.concatenate(logits),
        )

    def _stacked(self, streams: Streams, name: str, windows: list[Window]) -> Tensor | None:
        if name not in streams:
            return None
        cut = [window_frames(streams[name], window, self._model.config) for window in windows]
        return torch.from_numpy(np.stack(cut)).to(self._device)
