"""VideoMAE: settings, sizes of clips, agreement with Hugging Face's classifier, and learning."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from tiny_backbones import randomised, tells_order_apart
from torch import Tensor
from transformers.models.videomae import VideoMAEForVideoClassification

from talaria_models import registry
from talaria_models.backbones.videomae.checkpoint import load_published
from talaria_models.backbones.videomae.config import BASE, LARGE, SMALL, TINY, VideoMAEConfig
from talaria_models.backbones.videomae.model import VideoMAE, network_config

SIZE = (8, 32, 48)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def peer() -> VideoMAEForVideoClassification:
    """Hugging Face's classifier of 3 classes with weights that hide nothing."""
    config = network_config(TINY, *SIZE)
    config.num_labels = 3
    return randomised(VideoMAEForVideoClassification(config)).eval()


def published(model: VideoMAEForVideoClassification) -> dict[str, Tensor]:
    """Its weights under the keys of the published files."""
    names = {"query.bias": "q_bias", "value.bias": "v_bias"}
    return {
        next((key.replace(ours, theirs) for ours, theirs in names.items() if key.endswith(ours)), key): value
        for key, value in model.state_dict().items()
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tubelet_frames", 0),
        ("patch_size", 0),
        ("width", 63),
        ("depth", 0),
        ("num_heads", 5),
        ("mlp_width", 0),
        ("dropout", 1.0),
        ("head_dropout", -0.1),
        ("pixel_mean", (123.0, 0.456, 0.406)),
        ("pixel_std", (0.229, 0.0, 0.225)),
    ],
)
def test_settings_out_of_range_name_the_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(TINY, **{field: value})


@pytest.mark.parametrize("config", [TINY, SMALL, BASE, LARGE])
def test_named_settings_survive_json(config: VideoMAEConfig) -> None:
    fields = json.loads(json.dumps(asdict(config)))
    assert registry.config_from_dict(fields) == config
    assert TypeAdapter(VideoMAEConfig).validate_python(fields) == config
    with pytest.raises(ValidationError, match="widht"):
        TypeAdapter(VideoMAEConfig).validate_python({"widht": 64})


@pytest.mark.parametrize(
    ("config", "parameters"), [(SMALL, 22_033_936), (BASE, 86_534_800), (LARGE, 304_270_736)]
)
def test_named_settings_have_as_many_parameters_as_hugging_faces(
    config: VideoMAEConfig, parameters: int
) -> None:
    with torch.device("meta"):
        model = VideoMAE(config, 400, 2, 16, 16)  # positions are fixed: the clip's size adds none
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_published_weights_give_hugging_faces_numbers() -> None:
    theirs, ours = peer(), VideoMAE(TINY, 3, *SIZE).eval()
    weights = published(theirs)
    assert sum(key.endswith(("q_bias", "v_bias")) for key in weights) == 2 * TINY.depth
    load_published(ours, weights)
    clips = torch.randn(2, 3, *SIZE)
    with torch.inference_mode():
        logits = theirs(clips.transpose(1, 2)).logits
        torch.testing.assert_close(ours(clips).logits_BK, logits, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(logits[0], logits[1], atol=1e-3)


def test_other_classes_keep_their_head() -> None:
    theirs, ours = peer(), VideoMAE(TINY, 7, *SIZE)
    before = ours.head.weight.clone()
    load_published(ours, published(theirs), head=False)
    assert torch.equal(ours.head.weight, before)
    assert torch.equal(ours.norm.weight, theirs.fc_norm.weight)


def test_keys_that_do_not_fit_are_named() -> None:
    weights = published(peer()) | {"decoder.norm.bias": torch.zeros(4)}
    del weights["videomae.encoder.layer.1.attention.attention.q_bias"]
    with pytest.raises(ValueError, match="do not fit") as error:
        load_published(VideoMAE(TINY, 3, *SIZE), weights)
    assert "1 unknown: decoder.norm.bias" in str(error.value)
    assert "1 missing: network.encoder.layer.1.attention.attention.query.bias" in str(error.value)


def test_clips_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="tubelet_frames: num_frames 9"):
        VideoMAE(TINY, 5, 9, 32, 32)
    with pytest.raises(ValueError, match="patch_size: width 40"):
        VideoMAE(TINY, 5, 8, 32, 40)
    with pytest.raises(ValueError, match=r"\(B, \*\(3, 8, 32, 48\)\), got \(2, 3, 8, 48, 32\)"):
        VideoMAE(TINY, 5, *SIZE)(torch.zeros(2, 3, 8, 48, 32))


def test_a_batch_of_two_equals_two_singles() -> None:
    model = randomised(VideoMAE(TINY, 5, *SIZE)).eval()
    clips = torch.randn(2, 3, *SIZE)
    with torch.inference_mode():
        both, singles = model(clips), [model(clip) for clip in clips.split(1)]
    assert both.features_BC.shape == (2, model.feature_dim) == (2, 64)
    for name in ("features_BC", "logits_BK"):
        together = torch.cat([getattr(single, name) for single in singles])
        torch.testing.assert_close(getattr(both, name), together, rtol=1e-5, atol=1e-5)


def test_dropout_before_the_classifier_leaves_features_as_they_are() -> None:
    model = randomised(VideoMAE(replace(TINY, head_dropout=0.5), 5, *SIZE))
    clips = torch.randn(2, 3, *SIZE)
    with torch.no_grad():
        first, second = model(clips), model(clips)
    assert torch.equal(first.features_BC, second.features_BC)
    assert not torch.equal(first.logits_BK, second.logits_BK)


def test_built_on_the_meta_device_and_brought_to_life() -> None:
    with torch.device("meta"):
        model = VideoMAE(TINY, 5, *SIZE)
    assert all(parameter.is_meta for parameter in model.parameters())
    model, ordinary = model.to_empty(device="cpu"), VideoMAE(TINY, 5, *SIZE)
    for each in (model, ordinary):
        torch.manual_seed(3)
        each.init_weights()
    clips = torch.randn(1, 3, *SIZE)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(clips).logits_BK, ordinary.eval()(clips).logits_BK)


def test_a_tiny_one_learns_the_order_of_frames() -> None:
    assert tells_order_apart(VideoMAE(TINY, 2, 8, 32, 32), lr=1e-3)
