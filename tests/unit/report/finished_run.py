"""A finished run made by hand: random tiny models in the folders where a pipeline leaves trained ones."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import torch

from talaria.config.fingerprint import plain
from talaria.config.loading import save_resolved, validated
from talaria.config.postprocess import PostprocessConfig
from talaria.config.schema import RunConfig
from talaria.pipeline.weights import model_folder
from talaria.seeds import content_seed
from talaria.store.checkpoint import SavedModel, save_model, weights_digest
from talaria.store.feature_store import FeatureContract, FeatureStore
from talaria.store.files import write_json
from talaria_models.registry import ModelConfig, build

CLASSES = ("jump", "run")
CLIP = {"fps": 5, "num_frames": 8, "stride_frames": 4, "height": 16, "width": 16}
SLOWFAST = {
    "name": "slowfast",
    "blocks": [1, 1, 1, 1],
    "width": 4,
    "beta_inv": 2,
    "slow_temporal_blocks": [0, 0, 1, 1],
    "fast_temporal_blocks": [1, 1, 1, 1],
}
DETECTOR = {
    "model": {"name": "bmn", "num_snippets": 8, "hidden_dim_1d": 8, "hidden_dim_2d": 8, "hidden_dim_3d": 8}
}


def config_of(name: str, several: bool = False) -> RunConfig:
    """A recipe of one backbone, one classifier or an ensemble of several, and two detectors."""
    transformer = {"head": "transformer", "hidden_dim": 4, "num_heads": 2, "mlp_dim": 4}
    more = {"transformer": {"model": transformer, "num_bins": 4}} if several else {}
    tree = {
        "run": {"name": name},
        "data": {"generate": {"seed": 1}},
        "backbones": {"tiny": {"model": SLOWFAST, "clip": CLIP, "chunk_clips": 2}},
        "classifiers": {"video": {"model": {"hidden_dim": 4}, "num_bins": 4}, **more},
        "ensemble": {"clip_logits": several},
        "detectors": {"one": DETECTOR, "two": DETECTOR},
    }
    return validated(tree, "test")


def make_run(
    folder: Path, weights: dict[str, float], classifier_weights: dict[str, float] | None = None
) -> Path:
    """Everything of a finished run that detection reads.

    Args:
        weights: of the members.
        classifier_weights: of an ensemble of classifiers: `tiny-video`, `tiny-transformer` and `tiny-clips`.
    """
    config = config_of(folder.name, several=classifier_weights is not None)
    folder.mkdir(parents=True)
    save_resolved(config, folder / "recipe.json")
    backbone = config.backbones["tiny"]
    sizes = {"num_classes": 3, "num_frames": 8, "height": 16, "width": 16}
    channels = _save(model_folder(folder, config, "tiny"), backbone.model, sizes, {})
    contract = FeatureContract(
        backbone=plain(backbone.model),
        weights=weights_digest(model_folder(folder, config, "tiny")),
        **CLIP,
        first_frame_idx=-2,
        resize="whole",
        dtype="float16",
        layer="last",
        feature_dim=channels,
        classes=CLASSES,
    )
    FeatureStore(folder / "features" / "tiny").write_contract(contract)
    card = {"contract": plain(contract)}
    for name, node in config.detectors.items():
        out = folder / "train" / f"tiny-{name}"
        _save(out, node.model, {"in_channels": channels}, {**card, "num_bins": 8})
    sizes = {"in_channels": channels, "num_classes": 2}
    for name, node in config.classifiers.items():
        _save(folder / "train" / f"tiny-{name}", node.model, sizes, {**card, "num_bins": 4})
    summary = {
        "weights": weights,
        "classes": CLASSES,
        "postprocess": plain(PostprocessConfig()),
        "late": None,
    }
    if classifier_weights is not None:
        members = [{"name": name, "weight": weight} for name, weight in classifier_weights.items()]
        summary["classifiers"] = {"members": members}
    write_json(folder / "summary.json", summary)
    return folder


def film(path: Path, seconds: float) -> Path:
    """A video of moving noise."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for _ in range(round(seconds * 10)):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (32, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _save(folder: Path, config: ModelConfig, sizes: dict[str, int], card: dict[str, object]) -> int:
    """Save a model with seeded weights; returns its number of feature channels, 0 for heads."""
    torch.manual_seed(content_seed(folder.name))
    model = build(config, **sizes)
    save_model(folder, model, SavedModel(config, sizes, card))
    return int(getattr(model, "feature_dim", 0))
