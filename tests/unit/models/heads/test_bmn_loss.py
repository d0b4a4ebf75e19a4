"""Labels and loss of BMN: hand-computed values, empty videos, micro-batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from talaria_models.bmn.config import BMNConfig
from talaria_models.bmn.criterion import BMNCriterion, regression_weights
from talaria_models.bmn.decode import probabilities, proposals
from talaria_models.bmn.model import BMN, BMNOutput
from talaria_models.bmn.targets import build_targets

CONVENTIONS = ("jjboy", "mmaction2")
TRUTHS = ([[0.2, 0.6], [0.7, 0.9]], [[0.0, 1.0]], [], [[0.33, 0.41]])


def config_of(convention: Any = "jjboy", size: int = 10) -> BMNConfig:
    return BMNConfig(
        num_snippets=size,
        hidden_dim_1d=8,
        hidden_dim_2d=4,
        hidden_dim_3d=6,
        num_samples=4,
        convention=convention,
    )


def stacked(config: BMNConfig, truths: Any) -> dict[str, Tensor]:
    videos = [build_targets(np.reshape(truth, (-1, 2)), config) for truth in truths]
    return {key: torch.stack([video[key] for video in videos]) for key in videos[0]}


def loss_and_gradient(model: BMN, features: Tensor, targets: dict[str, Tensor], cuts: list[slice]) -> Any:
    """Total loss and gradients when the batch is cut into micro-batches."""
    criterion = BMNCriterion(model.config)
    counts = torch.stack([criterion.counts({k: v[cut] for k, v in targets.items()}) for cut in cuts]).sum(
        dim=0
    )
    model.zero_grad()
    total = 0.0
    assert counts.shape == (criterion.num_counts,)
    for cut in cuts:
        losses = criterion(model(features[cut]), {key: value[cut] for key, value in targets.items()}, counts)
        assert tuple(losses) == criterion.loss_names
        losses["total"].backward()
        total += losses["total"].item()
    return total, [parameter.grad.clone() for parameter in model.parameters()]


def test_labels_of_a_segment_by_hand() -> None:
    targets = build_targets(np.array([[0.2, 0.5]]), config_of())
    assert targets["start"].tolist() == pytest.approx([0, 1, 1, 1, 0, 0, 0, 0, 0, 0], abs=1e-6)
    assert targets["end"].tolist() == pytest.approx([0, 0, 0, 0, 1, 1, 1, 0, 0, 0], abs=1e-6)
    assert targets["iou"][2, 2] == pytest.approx(1.0)  # [2, 5)
    assert targets["iou"][0, 2] == pytest.approx(1 / 3)  # [2, 3)
    assert targets["iou"][4, 3] == pytest.approx(2 / 6)  # [3, 8)
    assert targets["iou"][2, 8] == 0.0
    assert not targets["iou"][5, 5:].any()


def test_mmaction2_bins_are_two_snippets_wide() -> None:
    targets = build_targets(np.array([[0.2, 0.5]]), config_of("mmaction2"))
    assert targets["start"].tolist() == pytest.approx([0.5, 1, 1, 0.5] + [0] * 6, abs=1e-6)


def test_no_annotations_label_nothing() -> None:
    targets = build_targets(np.zeros((0, 2)), config_of())
    assert targets["start"].sum() == targets["end"].sum() == targets["iou"].sum() == 0.0


def test_a_short_video_is_labelled_on_its_own_snippets() -> None:
    short = build_targets(np.array([[0.25, 0.75]]), config_of(), num_valid=8)
    plain = build_targets(np.array([[0.25, 0.75]]), config_of(size=8))
    for name in ("start", "end"):
        torch.testing.assert_close(short[name][:8], plain[name])
        assert not short[name][8:].any()
    torch.testing.assert_close(short["iou"][:8, :8], plain["iou"])
    assert short["iou"].sum().item() == pytest.approx(plain["iou"].sum().item())
    counts = [BMNCriterion(config_of()).counts({k: v[None] for k, v in t.items()}) for t in (short, plain)]
    assert torch.equal(*counts)


@pytest.mark.parametrize("segment", [[0.6, 0.2], [float("nan"), 0.5]])
def test_impossible_segments_are_refused(segment: list[float]) -> None:
    with pytest.raises(ValueError, match="expected start <= end, both finite"):
        build_targets(np.array([segment]), config_of())


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_micro_batches_add_up_to_the_global_loss_and_gradient(convention: str) -> None:
    torch.manual_seed(0)
    config = config_of(convention)
    model, features = BMN(config, in_channels=4).double(), torch.randn(4, 4, 10, dtype=torch.float64)
    targets = stacked(config, TRUTHS)
    whole, gradients = loss_and_gradient(model, features, targets, [slice(0, 4)])
    cut, cut_gradients = loss_and_gradient(model, features, targets, [slice(0, 1), slice(1, 3), slice(3, 4)])
    assert cut == pytest.approx(whole, abs=1e-6)
    for found, want in zip(cut_gradients, gradients, strict=True):
        torch.testing.assert_close(found, want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("truths", [[[]], [[[0.5, 0.5]]], [[[0.0, 0.02]]]])
def test_videos_without_positives_give_a_finite_loss_and_gradient(convention: str, truths: Any) -> None:
    torch.manual_seed(0)
    config = config_of(convention)
    total, gradients = loss_and_gradient(
        BMN(config, in_channels=4), torch.randn(1, 4, 10), stacked(config, truths), [slice(0, 1)]
    )
    assert np.isfinite(total)
    assert total > 0.0
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_extreme_logits_give_a_finite_loss_and_gradient() -> None:
    config = config_of()
    targets = stacked(config, TRUTHS)
    criterion = BMNCriterion(config)
    for value in (-200.0, 200.0):
        logits = torch.full((4, 2, 10, 10), value, requires_grad=True)
        output = BMNOutput(logits[:, 0, 0], logits[:, 1, 1], logits)
        total = criterion(output, targets, criterion.counts(targets))["total"]
        total.backward()
        assert torch.isfinite(total)
        assert torch.isfinite(logits.grad).all()


def test_the_truth_scores_better_than_its_opposite() -> None:
    config = config_of()
    targets = stacked(config, TRUTHS)
    criterion = BMNCriterion(config)
    counts = criterion.counts(targets)
    start, end = (torch.logit(targets[name].clamp(1e-4, 1 - 1e-4)) for name in ("start", "end"))
    cells = torch.logit(targets["iou"].clamp(1e-4, 1 - 1e-4))
    good = criterion(BMNOutput(start, end, torch.stack([cells, 4 * (cells - 2.2)], dim=1)), targets, counts)
    bad = criterion(BMNOutput(-start, -end, -torch.stack([cells, 4 * (cells - 2.2)], dim=1)), targets, counts)
    assert good["pem_reg"] < 1e-6
    for name in ("total", "tem", "pem_reg", "pem_cls"):
        assert good[name] < 0.2 * bad[name], name


def test_expected_weights_balance_the_three_bands() -> None:
    config = config_of(size=40)
    targets = stacked(config, [[[0.2, 0.6]], [[0.7, 0.9]]])
    counts = BMNCriterion(config).counts(targets)
    weights, total = regression_weights(targets["iou"], counts)
    high, middle, low = counts[3:6].tolist()
    assert low > high > 0
    iou = targets["iou"]
    assert weights[iou > 0.7].sum().item() == pytest.approx(high, rel=1e-5)
    assert weights[(iou > 0.3) & (iou <= 0.7)].sum().item() == pytest.approx(min(middle, high), rel=1e-5)
    assert weights[(iou > 0) & (iou <= 0.3)].sum().item() == pytest.approx(min(low, high), rel=1e-5)
    assert weights[iou == 0].sum() == 0.0
    assert weights.sum().item() == pytest.approx(total.item(), rel=1e-5)


def test_a_model_learns_one_video() -> None:
    torch.manual_seed(0)
    config = BMNConfig(num_snippets=16, hidden_dim_1d=32, hidden_dim_2d=16, hidden_dim_3d=32, num_samples=8)
    model, features = BMN(config, in_channels=4), torch.randn(1, 4, 16)
    targets = stacked(config, [[[0.25, 0.75]]])
    criterion, optimiser = BMNCriterion(config), torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(60):
        loss = criterion(model(features), targets, criterion.counts(targets))["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        raw = probabilities(model(features))
    segments, _ = proposals(
        raw.start_BT[0].numpy(),
        raw.end_BT[0].numpy(),
        raw.bm_map_BMDT[0].numpy(),
        map_classification_power=1.0,
        map_regression_power=1.0,
        boundary_power=1.0,
        top=1,
    )
    assert segments.tolist() == [[0.25, 0.75]]
