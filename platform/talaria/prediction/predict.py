"""Checkpoint x features -> raw predictions on Ray Data: all members in one pass, shard by shard.

A shard always holds the same videos, so that a repeated one is the same file; shards that exist are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from talaria.cluster.connect import Capacity
from talaria.cluster.data import ray_data
from talaria.config.schema import ResourcesSection
from talaria.data.timebase import resize_snippets
from talaria.errors import DataError
from talaria.prediction.inputs import resized_features
from talaria.prediction.raw import RawMeta, RawPrediction, write_raw
from talaria.store.checkpoint import load_model
from talaria.store.feature_store import FeatureContract, FeatureStore, VideoFeatures
from talaria_models.bmn.decode import probabilities

_VIDEOS_PER_SHARD = 16


@dataclass(frozen=True)
class MemberPlan:
    """What predicts for one member; all folders absolute.

    Attributes:
        classifier: folder of the video-level classifier, or None where clip scores classify the proposals.
        meta: what is kept beside the predictions.
        video_ids: videos to predict, in a fixed order.
    """

    meta: RawMeta
    out: str
    detector: str
    classifier: str | None
    features: str
    video_ids: tuple[str, ...]

    def shards(self) -> list[tuple[int, tuple[str, ...]]]:
        """Numbered groups of videos."""
        step = _VIDEOS_PER_SHARD
        return [(i // step, self.video_ids[i : i + step]) for i in range(0, len(self.video_ids), step)]

    @property
    def folder(self) -> Path:
        """The folder of shards."""
        return Path(self.out) / "raw"

    def shard_path(self, number: int) -> Path:
        """Where a shard lies."""
        return self.folder / f"part-{number:05d}.parquet"


def predict(
    plans: Sequence[MemberPlan],
    resources: ResourcesSection,
    capacity: Capacity,
    on_shard: Callable[[int], None],
) -> None:
    """Write every shard that is not there yet.

    Args:
        on_shard: called with the number of videos of each finished shard, those of earlier calls included.
    """
    todo = []
    for index, plan in enumerate(plans):
        for number, ids in plan.shards():
            if plan.shard_path(number).is_file():
                on_shard(len(ids))
            else:
                todo.append({"plan": index, "shard": number, "videos": json.dumps(ids)})
    if not todo:
        return
    data = ray_data()
    gpus = {"num_gpus": resources.gpus_per_worker} if capacity.gpu else {}
    answers = data.from_items(todo, override_num_blocks=len(todo)).map_batches(
        Predictor,
        fn_constructor_kwargs={"plans": tuple(plans)},
        batch_size=1,
        num_cpus=resources.forward_cpus,
        compute=data.ActorPoolStrategy(min_size=1, max_size=resources.forward_actors),
        **gpus,
    )
    for batch in answers.iter_batches(batch_size=None, batch_format="numpy"):
        for count in batch["count"]:
            on_shard(int(count))


class Predictor:
    """A Ray Data actor that writes shards; models are loaded when their member first comes."""

    def __init__(self, plans: tuple[MemberPlan, ...]) -> None:
        self._plans = plans
        self._members: dict[int, MemberModel] = {}
        if not torch.cuda.is_available():
            torch.set_num_threads(1)

    def __call__(self, batch: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One shard in, its number of videos out."""
        index, number = int(batch["plan"][0]), int(batch["shard"][0])
        ids = json.loads(str(batch["videos"][0]))
        plan = self._plans[index]
        if index not in self._members:
            self._members[index] = MemberModel(
                features=Path(plan.features),
                detector=Path(plan.detector),
                classifier=Path(plan.classifier) if plan.classifier else None,
            )
        member = self._members[index]
        write_raw(plan.shard_path(number), [member.predict(video_id) for video_id in ids], plan.meta)
        return {"count": np.array([len(ids)])}


class MemberModel:
    """A detector with the classifier of its features, ready to predict."""

    def __init__(self, *, features: Path, detector: Path, classifier: Path | None) -> None:
        """Load the models and check that they were trained on such features.

        Args:
            features: folder of the feature store.
            detector: folder of the detector.
            classifier: folder of the video-level classifier, if classes come from one.

        Raises:
            DataError: a model was trained on other features; the fields that differ are named.
        """
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._store = FeatureStore(features)
        self._stride_s = self._store.contract.stride_s
        self._detector, self._bins = self._load(detector)
        self._classifier = None if classifier is None else self._load(classifier)

    def predict(self, video_id: str) -> RawPrediction:
        """Everything the member believes about one video of its feature store."""
        return self.predict_features(video_id, self._store.read(video_id))

    @torch.inference_mode()
    def predict_features(self, video_id: str, stored: VideoFeatures) -> RawPrediction:
        """The same from features at hand."""
        inputs = resized_features(stored, self._stride_s, self._bins).to(self._device)
        maps = probabilities(self._detector(inputs))
        return RawPrediction(
            video_id=video_id,
            duration_s=stored.decoded_s,
            start_T=maps.start_BT[0].cpu().numpy(),
            end_T=maps.end_BT[0].cpu().numpy(),
            bm_map_MDT=maps.bm_map_BMDT[0].cpu().numpy(),
            class_logits_RK=self._class_logits(stored),
        )

    def _class_logits(self, stored: VideoFeatures) -> NDArray[np.float32]:
        if self._classifier is None:
            return resize_snippets(stored.logits_TK, stored.decoded_s, self._stride_s, self._bins)
        model, bins = self._classifier
        output = model(resized_features(stored, self._stride_s, bins).to(self._device))
        logits: NDArray[np.float32] = output.logits_BK.float().cpu().numpy()
        return logits

    def _load(self, folder: Path) -> tuple[nn.Module, int]:
        model, saved = load_model(folder)
        expected = contract_from_dict(saved.card["contract"])
        self._store.contract.require(expected, consumer=str(folder))
        return model.to(self._device), int(saved.card["num_bins"])


def contract_from_dict(fields: Mapping[str, Any]) -> FeatureContract:
    """The contract that a model card holds.

    Raises:
        DataError: it is not one.
    """
    try:
        return FeatureContract(**{**fields, "classes": tuple(fields["classes"])})
    except (TypeError, KeyError) as error:
        raise DataError(f"the model card holds no feature contract ({error})") from None
