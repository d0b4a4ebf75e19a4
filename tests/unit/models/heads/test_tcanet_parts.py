"""Around TCANet's network: decoding, published checkpoints, settings."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from talaria_models.refining import RefinedStage, RefinerOutput
from talaria_models.tcanet.checkpoint import load_published, parameter_names
from talaria_models.tcanet.config import TCANetConfig
from talaria_models.tcanet.decode import probabilities, proposals
from talaria_models.tcanet.model import TCANet


def small_model(seed: int = 0) -> TCANet:
    torch.manual_seed(seed)
    sizes = {"hidden_dim": 16, "boundary_dim": 8, "segment_dim": 8, "feedforward_dim": 8}
    return TCANet(TCANetConfig(**sizes), in_channels=8)


def decoded(truths: Tensor, inputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """One stage whose output is the truth, through both steps of decoding."""
    stage = RefinedStage(
        inputs, torch.ones(inputs.shape[:2], dtype=torch.bool), truths, truths[..., 0] * 0, {}
    )
    raw = probabilities(RefinerOutput((stage,)))
    return proposals(raw.segments_BKP2[0].numpy(), raw.tiou_BKP[0].numpy(), np.array([0.2, 0.8]), top=5)


def test_decoding_returns_the_segments_best_first_and_cut_to_the_video() -> None:
    found, scores = decoded(torch.tensor([[[0.1, 0.4], [0.7, 1.2]]]), torch.rand(1, 2, 2))
    np.testing.assert_allclose(found, [[0.7, 1.0], [0.1, 0.4]], atol=1e-6)
    np.testing.assert_allclose(scores, [0.4, 0.1])


def test_decoding_leaves_out_what_has_no_length() -> None:
    found, _ = decoded(torch.tensor([[[0.5, 0.4], [1.1, 1.2]]]), torch.rand(1, 2, 2))
    assert found.shape == (0, 2)


def test_stages_compete_or_the_last_one_decides() -> None:
    segments = np.array([[[0.1, 0.2]], [[0.3, 0.4]]])
    tiou, scores = np.array([[0.9], [0.5]]), np.array([0.5])
    found, kept = proposals(segments, tiou, scores, top=5)
    assert found.tolist() == [[0.1, 0.2], [0.3, 0.4]]
    assert kept.tolist() == [0.45, 0.25]
    found, kept = proposals(segments, tiou, scores, top=5, last_stage_only=True, score_power=0.0)
    assert found.tolist() == [[0.3, 0.4]]
    assert kept.tolist() == [0.5]
    with pytest.raises(ValueError, match="stages disagree"):
        proposals(segments, tiou, np.zeros(2), top=5)


@pytest.mark.parametrize("layout", ["authors", "mmaction2"])
def test_loads_both_published_layouts(layout: str) -> None:
    source, model = small_model(1), small_model(2)
    own = source.state_dict()
    state = {
        f"module.{old}": torch.cat([own[name] for name in new])
        for old, new in parameter_names(source, layout).items()
    }
    state["module.lgtes.0.self_atten.mask_matrix"] = torch.zeros(1, 8, 9, 9)
    load_published(model, state)
    assert all(torch.equal(value, own[key]) for key, value in model.state_dict().items())


def test_names_what_is_wrong_with_a_checkpoint() -> None:
    source = small_model()
    own = source.state_dict()
    state = {old: own[new] for old, (new,) in parameter_names(source, "authors").items()}
    state["fc.weight"] = torch.zeros(3)
    del state["tbr1.reg1xw.reg_1d_o.2.bias"]
    state["x_1d_b_f.0.bias"] = torch.zeros(3)
    problems = r"fc.weight: unknown.*reg_1d_o.2.bias: absent.*x_1d_b_f.0.bias: found \(3,\), expected \(16,\)"
    with pytest.raises(ValueError, match=problems):
        load_published(small_model(), state)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_dim", 18),
        ("groups", 0),
        ("num_heads", 3),
        ("window", 8),
        ("num_start_samples", 6),
        ("num_action_samples", 0),
        ("thresholds", ()),
        ("thresholds", (0.5, 1.5)),
        ("num_encoders", -1),
        ("fusion", 1.5),
        ("dropout", 1.0),
        ("guard_frac", 0.0),
        ("length_scale", float("nan")),
    ],
)
def test_settings_out_of_range_name_their_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field}: found"):
        dataclasses.replace(TCANetConfig(), **{field: value})


def test_channels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="groups: found 4, expected a divisor of the 6 feature channels"):
        TCANet(TCANetConfig(), in_channels=6)
